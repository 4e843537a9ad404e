"""What deferring promises, and what one more rule can do, on the shipped rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.asking import Asking
from orchestrator.decide.content import Content, Policies, Sender
from orchestrator.decide.decision import weigh
from orchestrator.decide.member import Member, Place
from orchestrator.decide.rules import Finding, Question, Rule
from orchestrator.decide.shared import Shared
from orchestrator.decide.step import step
from orchestrator.events.inputs import EventInput
from orchestrator.testing.builders import PlainLinks, enrolled, purchase
from orchestrator.testing.world import shipped_content

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = 366 * 1_440
HOMES = (
    {"country": "US", "region": "US-NY", "zone": "America/New_York"},
    {"country": "US", "region": "US-CA", "zone": "America/Los_Angeles"},
    {"country": "ES", "region": "ES-MD", "zone": "Europe/Madrid"},
    {"country": "CO", "region": "CO-DC", "zone": "America/Bogota"},
)
SHARED = Shared(
    key=bytes(32), fingerprint=lambda channel, address: f"{channel}:{len(address)}", links=PlainLinks(), new_ref="r"
)


@st.composite
def members(draw: Callable[..., Any], in_flight: bool) -> tuple[Member, datetime]:
    """A member with up to eight earlier touches, and a moment after them."""
    consents = tuple(draw(st.sets(st.sampled_from(("email", "sms")))))
    event = enrolled("ana", START, consents=consents, **draw(st.sampled_from(HOMES)))
    member = step(None, SHARED, (EventInput(event),), shipped_content(), START + timedelta(days=90)).member
    assert member is not None
    now = START + timedelta(minutes=draw(st.integers(0, MINUTES)))
    ago = draw(st.lists(st.integers(0, 40 * 1_440), max_size=8))
    places = tuple(
        Place(
            touch_id=str(i),
            channel=draw(st.sampled_from(("email", "sms"))),
            purpose="marketing",
            journey="thank-you",
            contact="c",
            at=None if in_flight and draw(st.booleans()) else now - timedelta(minutes=minutes),
        )
        for i, minutes in enumerate(sorted(ago, reverse=True))
    )
    return replace(member, places=places, pending={}, instances=()), now


def asked(member: Member, channel: str, at: datetime) -> tuple[tuple[Rule, ...], Question]:
    content = shipped_content()
    residence = member.residence
    rules = content.policies.rules_for(channel, "marketing", "thank-you") + content.laws.rules_for(
        residence.jurisdictions, channel, "marketing"
    )
    return rules, Question(
        at=at,
        now=at,
        channel=channel,
        purpose="marketing",
        journey="thank-you",
        member=member,
        contact=next(point for point in member.contact_points if point.channel == channel),
        zones=tuple(content.zones[name] for name in residence.zones),
        registries={},
    )


@given(members(in_flight=False), st.sampled_from(("email", "sms")))
def test_a_deferral_ends_at_a_moment_at_which_all_rules_pass(
    given_member: tuple[Member, datetime], channel: str
) -> None:
    """The release time is later than now, and it is kept when nothing else happens until then."""
    member, now = given_member
    found = weigh(*asked(member, channel, now))
    if found.says == "defer":
        assert found.release_at is not None
        assert now < found.release_at
        assert "pass" == weigh(*asked(member, channel, found.release_at)).says


@given(members(in_flight=False), st.sampled_from(("email", "sms")))
def test_a_deferral_ends_no_later_than_it_must(given_member: tuple[Member, datetime], channel: str) -> None:
    """A quarter of an hour before its end, and at every quarter before that, something still says no."""
    member, now = given_member
    found = weigh(*asked(member, channel, now))
    if found.says == "defer" and found.release_at is not None:
        steps = min(int((found.release_at - now) / timedelta(minutes=15)), 48)
        earlier = [found.release_at - timedelta(minutes=15 * i) for i in range(1, steps + 1)]
        assert [] == [at for at in earlier if at > now and weigh(*asked(member, channel, at)).says == "pass"]


class Extra(Struct, frozen=True):
    """A rule that always says the same."""

    finding: Finding

    @property
    def id(self) -> str:
        return self.finding.rule

    def judge(self, question: Question) -> Finding:
        if self.finding.says != "defer":
            return self.finding
        return replace(self.finding, until=question.at + timedelta(hours=3))


class Stricter(Struct, frozen=True):
    """The shipped policies with one more rule, before or after the others."""

    policies: Policies
    extra: Extra
    first: bool

    def rules_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        rules = self.policies.rules_for(channel, purpose, journey)
        return (self.extra, *rules) if self.first else (*rules, self.extra)

    def hours_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        return self.policies.hours_for(channel, purpose, journey)

    def sender(self, channel: str, at: datetime) -> Sender:
        return self.policies.sender(channel, at)

    def rank(self, purpose: str, at: datetime) -> int:
        return self.policies.rank(purpose, at)

    def release_spread(self, channel: str, at: datetime) -> timedelta:
        return self.policies.release_spread(channel, at)

    def precedence(self, journey: str, at: datetime) -> int:
        return self.policies.precedence(journey, at)

    def channel_order(self, at: datetime) -> tuple[str, ...]:
        return self.policies.channel_order(at)

    def latency_margin(self, channel: str, at: datetime) -> timedelta:
        return self.policies.latency_margin(channel, at)

    def asking(self, at: datetime) -> Asking:
        return self.policies.asking(at)

    def confirm_within(self, channel: str, purpose: str, at: datetime) -> timedelta:
        return self.policies.confirm_within(channel, purpose, at)

    @property
    def longest_window(self) -> timedelta:
        return self.policies.longest_window


def verdicts(content: Content, member: Member, now: datetime) -> dict[str, tuple[str, str]]:
    """intent -> (verdict, channel) of a purchase at this moment."""
    result = step(member, SHARED, (EventInput(purchase("ana", now, id="p")),), content, now)
    return {entry.intent_id: (entry.verdict, entry.channel) for entry in result.entries if entry.kind == "decision"}


@given(members(in_flight=True), st.sampled_from(("pass", "defer", "suppress")), st.booleans(), st.booleans())
def test_one_more_rule_never_turns_a_silence_into_a_touch(
    given_member: tuple[Member, datetime], says: str, first: bool, advisory: bool
) -> None:
    member, now = given_member
    content = shipped_content()
    reason = "" if says == "pass" else "quiet_hours"
    finding = Finding(rule="one.more", version="1", says=says, reason=reason, advisory=advisory)  # type: ignore[arg-type]
    stricter = replace(content, policies=Stricter(content.policies, Extra(finding), first))
    before, after = verdicts(content, member, now), verdicts(stricter, member, now)
    assert before.keys() == after.keys()
    assert [] == [intent for intent, (verdict, _) in after.items() if verdict == "send" != before[intent][0]]
    if says == "pass" or advisory:
        assert before == after
    if says == "suppress" and not advisory:
        assert {"suppress"} >= {verdict for verdict, _ in after.values()}
