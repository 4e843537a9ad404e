"""A panel answers as its rules do, whatever it was asked before, and its trail is the JSON of their findings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.decide.consent import MembershipRule
from orchestrator.decide.decision import weigh, weigh_by
from orchestrator.decide.member import (
    NO_PREFERENCES,
    Aggregate,
    Asked,
    Consent,
    ContactPoint,
    Limit,
    Member,
    Pause,
    Place,
    Preferences,
    Residence,
)
from orchestrator.decide.panel import MOST_FORMS, Panel
from orchestrator.decide.rules import Question, RegistryState, Rule
from orchestrator.testing.world import shipped_content

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = {"US-NY": "America/New_York", "ES": "Europe/Madrid", "CO": "America/Bogota", "BR": "America/Sao_Paulo"}
WAITS = Asked(
    consent=Consent(channel="email", purpose="marketing", state="granted", at=START, wording="w", evidence="e")
)
HEARD = Asked(confirmed_at=START)
# one for all examples: each is asked after whatever the earlier ones left behind
KEPT: dict[tuple[str, str], Panel] = {}


def rules(where: str, channel: str) -> tuple[Rule, ...]:
    content = shipped_content()
    house = content.policies.rules_for(channel, "marketing", "thank-you")
    return house + tuple(content.laws.rules_for((where,), channel, "marketing"))


def wishes(some_time: st.SearchStrategy[datetime]) -> st.SearchStrategy[Preferences]:
    """Most members wish for nothing."""
    limit = st.builds(Limit, st.integers(0, 3), st.sampled_from(("day", "week", "month")))
    pause = st.builds(Pause, st.none() | some_time)
    return st.just(NO_PREFERENCES) | st.builds(Preferences, limit=st.none() | limit, pause=st.none() | pause)


@st.composite
def questions(draw: Callable[..., Any]) -> tuple[str, Question]:
    """Whatever a member of the shipped jurisdictions can be."""
    where, channel = draw(st.sampled_from(tuple(PLACES))), draw(st.sampled_from(("email", "sms", "whatsapp")))
    now = START + timedelta(minutes=draw(st.integers(0, 720 * 1_440)))
    at = now + timedelta(minutes=draw(st.sampled_from((0, 0, 600, 3_000))))
    some_time = st.integers(-40 * 1_440, 3 * 1_440).map(lambda minutes: now + timedelta(minutes=minutes))
    consents = st.builds(
        Consent, channel=st.sampled_from(("email", "sms", channel)), purpose=st.just("marketing"),
        state=st.sampled_from(("granted", "granted", "withdrawn")), at=some_time,
        basis=st.sampled_from(("opt_in", "soft_opt_in")), wording=st.sampled_from(("w", "w", " ")),
        evidence=st.sampled_from(("e", "e", "")), record=st.sampled_from(("r", "s")),
        expires_at=st.none() | some_time, imported_from=st.sampled_from(("", "", "till")),
        conditions=st.sampled_from(((), ("own_similar_products", "objection_offered", "address_lawfully_obtained"))),
    )  # fmt: skip
    touches = st.builds(
        Place, touch_id=st.just("t"), channel=st.sampled_from(("email", "sms", "whatsapp")),
        purpose=st.sampled_from(("marketing", "marketing", "service")),
        journey=st.sampled_from(("thank-you", "welcome", "tier-up")), contact=st.sampled_from(("f", "g")),
        at=st.none() | some_time,
    )  # fmt: skip
    zones = draw(st.sampled_from(((PLACES[where],), (PLACES[where],), (), ("Europe/Madrid", "Atlantic/Canary"))))
    contact = draw(st.none() | st.builds(
        ContactPoint, channel=st.just(channel), address=st.just("a"), fingerprint=st.just("f"),
        health=st.sampled_from(("ok", "ok", "ok", "soft_bounced", "hard_bounced")), health_since=st.none() | some_time,
        kind=st.sampled_from(("", "mobile", "fixed_line", "disposable")),
        soft_bounces=st.lists(some_time, max_size=4).map(sorted).map(tuple),
    ))  # fmt: skip
    member = Member(
        id="m",
        ref="r",
        status=draw(st.sampled_from(("enrolled", "enrolled", "cancelled"))),
        birthday=draw(st.none() | st.dates(date(1990, 1, 1), date(2014, 12, 31))),
        preferences=draw(wishes(some_time)),
        complaints=draw(st.sampled_from(((), (), (), ("c1",), ("c1", "c2")))),
        residence=Residence(jurisdictions=(where,), zones=zones),
        consents={f"{each.channel}/marketing": each for each in draw(st.lists(consents, max_size=2))},
        aggregates=draw(
            st.sampled_from(({}, {"purchase.completed": Aggregate(count=1, sum=1, first=START, last=now)}))
        ),
        asked=draw(st.sampled_from(({}, {}, {f"{channel}/marketing": WAITS}, {"email/marketing": HEARD}))),
        places=tuple(draw(st.lists(touches, max_size=5))),
    )
    state = draw(st.none() | st.builds(RegistryState, listed=st.booleans(), checked_at=st.none() | some_time))
    names = shipped_content().laws.registries_for((where,), channel, "marketing")
    return where, Question(
        at=at,
        now=now,
        channel=channel,
        purpose="marketing",
        journey="thank-you",
        member=member,
        contact=contact,
        zones=tuple(ZoneInfo(zone) for zone in zones),
        registries=dict.fromkeys(names, state) if state else {},
        closed=draw(st.sampled_from(((), (), ((at - timedelta(hours=1), at + timedelta(hours=1)),)))),
    )


def kept_panel(where: str, channel: str) -> Panel:
    return KEPT.setdefault((where, channel), Panel(rules(where, channel)))


@given(questions())
def test_a_panel_finds_what_each_rule_finds(asked: tuple[str, Question]) -> None:
    where, question = asked
    expected = tuple(rule.judge(replace(question, memo={})) for rule in rules(where, question.channel))
    assert expected == kept_panel(where, question.channel).ask(question).findings()


@given(questions())
def test_what_was_asked_before_makes_no_difference(asked: tuple[str, Question]) -> None:
    """The verdict, the release time and the trail's bytes, too."""
    where, question = asked
    drop_on = frozenset({"minimum_gap"})
    expected = weigh(rules(where, question.channel), replace(question, memo={}), drop_on)
    weighed = weigh_by(kept_panel(where, question.channel), question, drop_on)
    assert msgspec.json.encode(expected) == msgspec.json.encode(weighed.tried)


@given(questions(), st.integers(1, 60 * 1_440))
def test_asked_again_later_it_says_what_it_says_when_asked_anew(asked: tuple[str, Question], minutes: int) -> None:
    where, question = asked
    panel = kept_panel(where, question.channel)
    before = panel.ask(question)
    later = replace(question, at=question.at + timedelta(minutes=minutes))
    if before.says == "defer":
        anew, again = panel.ask(replace(later, memo={})), panel.ask_again(before, later)
        assert (anew.says, anew.waits) == (again.says, again.waits)


def membership(status: str) -> Question:
    return Question(
        at=START, now=START, channel="email", purpose="marketing", journey="j", contact=None, zones=(), registries={},
        member=Member(id="m", ref="r", status=status),  # type: ignore[arg-type]  # any word will do
    )  # fmt: skip


def test_a_kept_answer_is_given_again() -> None:
    panel = Panel((MembershipRule(id="membership", version="1"),))
    first, again = (panel.ask(membership("enrolled")).findings()[0] for _ in range(2))
    assert first is again
    assert "suppress" == panel.ask(membership("cancelled")).says


def test_no_panel_keeps_answers_without_end() -> None:
    panel = Panel((MembershipRule(id="membership", version="1"),))
    for n in range(MOST_FORMS + 10):
        assert {"status": str(n)} == panel.ask(membership(str(n))).findings()[0].saw
    assert len(panel) <= MOST_FORMS


def test_other_content_asks_its_own_rules() -> None:
    content = shipped_content()
    key = (("ES",), "email", "marketing", "thank-you")
    assert content.panel(*key) is content.panel(*key)
    assert content.panel(*key) is not replace(content, locale="pt").panel(*key)
