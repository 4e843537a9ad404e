"""The log in plain words: every code has a sentence, every story is told whole, no number is lost."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contact_log import sentences
from orchestrator.contact_log.chain import GENESIS, append
from orchestrator.contact_log.explain import Paragraph, explain
from orchestrator.decide.member import Consent, ContactPoint, Health, Residence
from orchestrator.decide.result import Entry, Trail, Tried
from orchestrator.decide.rules import REASONS, Finding
from orchestrator.events.inputs import Command, OutcomeKind, Receipt
from orchestrator.events.types import Channel
from orchestrator.stores.contract import LogRow
from orchestrator.times import micros

NOW = datetime(2026, 3, 2, 2, 14, tzinfo=UTC)
RELEASE = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BOGOTA = ZoneInfo("America/Bogota")

CONSENT = Finding(
    rule="house.email.consent",
    version="email@2026-01-01",
    says="pass",
    saw={"consent": "granted", "record": "w1/form", "basis": "opt_in"},
)
HOURS = Finding(
    rule="co.hours",
    version="CO@2026.11.0",
    says="defer",
    reason="law_hours",
    until=RELEASE,
    saw={"local": "2026-03-01T21:14-05:00", "zone": "America/Bogota", "window": "07:00-19:00"},
    cite="Ley 2300/2023 art. 3",
)
WEEK = Finding(
    rule="house.week",
    version="house@2026-01-01",
    says="pass",
    saw={"n": 2, "max": 3, "window": "rolling P7D"},
)


def trail(*tried: Tried, note: str = "") -> str:
    made = Trail(
        zones=("America/Bogota",), zone_from="address", packs=("CO@2026.11.0",) if tried else (), tried=tried, note=note
    )
    return msgspec.json.encode(made).decode()


def decision(verdict: str, reason: str = "", given_trail: str = "", **more: object) -> Entry:
    base = Entry(
        kind="decision",
        journey="welcome",
        step="hello",
        intent_id="i1",
        channel="email",
        purpose="marketing",
        verdict=verdict,
        reason=reason,
        trail=given_trail or trail(),
    )
    return msgspec.structs.replace(base, **more)


def touch(state: str, intent: str = "i1", **more: object) -> Entry:
    base = Entry(
        kind="touch", journey="welcome", step="hello", intent_id=intent, touch_id="t1", channel="email", state=state
    )
    return msgspec.structs.replace(base, **more)


def log(*turns: tuple[datetime, list[Entry]]) -> list[LogRow]:
    rows: list[LogRow] = []
    n, head = 0, GENESIS
    for turn, (at, entries) in enumerate(turns, 1):
        new, n, head = append(3, n, head, turn, micros(at), "ab" * 16, "rev-1", entries)
        rows.extend(new)
    return rows


def cite_of(rule: str, version: str) -> tuple[str, str] | None:
    known = {("co.hours", "CO@2026.11.0"): ("Ley 2300 de 2023", "https://example.org/ley-2300")}
    return known.get((rule, version))


def texts(paragraph: Paragraph) -> list[str]:
    return [str(sentence) for sentence in paragraph.sentences]


# --- the vocabulary


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_for_a_silence_has_a_sentence_of_its_own(reason: str) -> None:
    words = sentences.because(reason)
    assert reason in sentences.REASONS
    assert words == sentences.REASONS[reason]
    assert 1 == list(sentences.REASONS.values()).count(words)


def test_no_sentence_stands_for_a_reason_that_does_not_exist() -> None:
    assert set(REASONS) == set(sentences.REASONS)


def test_every_state_of_a_touch_has_a_sentence() -> None:
    receipts = set(get_args(inspect.get_annotations(Receipt, eval_str=True)["state"]))
    own = {"reserved", "attempting", "accepted", "rejected", "unknown", "cancelled"}
    assert receipts | own <= set(sentences.STATES)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (sentences.HEALTH, get_args(Health)),
        (sentences.COMMANDS, get_args(inspect.get_annotations(Command, eval_str=True)["verb"])),
        (sentences.ZONE_FROM, get_args(inspect.get_annotations(Residence, eval_str=True)["zone_from"])),
        (sentences.CHANNELS, get_args(Channel)),
        (sentences.CONSENT, get_args(inspect.get_annotations(Consent, eval_str=True)["state"])),
        (sentences.MEMBER, ("enrolled", "cancelled", "erased")),
        (sentences.TOUCH_REASONS, set(get_args(OutcomeKind)) - {"accepted", "unknown"}),
    ],
)
def test_every_code_of_a_closed_list_has_words(words: dict[str, str], codes: tuple[str, ...]) -> None:
    assert set(codes) <= set(words)


def test_a_health_that_is_not_known_yet_is_shown_as_it_stands() -> None:
    row = log((NOW, [Entry(kind="contact_point", channel="email", state="new_state")]))
    assert "contact_point new_state." == explain(row)[0].title
    assert ContactPoint(channel="email", address="a", fingerprint="f").health in sentences.HEALTH


@given(
    saw=st.dictionaries(
        st.sampled_from(
            [
                *("n", "max", "window", "per", "local", "zone", "zones", "consent", "record", "state", "basis"),
                *("registry", "listed", "checked_at", "gap", "last", "health", "since", "contact", "windows"),
                *("in_force", "in_flight", "reserved", "n_others", "unless", "reading", "alt", "confidence"),
                *("model", "anything_else"),
            ]
        ),
        st.integers(0, 10**6) | st.text(max_size=10) | st.booleans() | st.none(),
    )
)
def test_whatever_a_rule_saw_can_be_put_into_words(saw: dict[str, str | int | bool | None]) -> None:
    assert isinstance(sentences.numbers(saw), str)


@pytest.mark.parametrize(
    ("words", "saw"),
    [
        ("2 of 3 in 7 days", {"n": 2, "max": 3, "window": "rolling P7D"}),
        ("1 of 1 in one calendar day", {"n": 1, "max": 1, "per": "calendar_day"}),
        (
            (
                "3 of 4 in 7 days, 1 of them kept for other journeys (3 taken by the rest), "
                "2 of them still on their way and counted as now"
            ),
            {"n": 3, "max": 4, "window": "rolling P7D", "reserved": 1, "n_others": 3, "in_flight": 2},
        ),
        (
            "21:14 in America/Bogota, permitted 07:00-19:00",
            {"local": "2026-03-01T21:14-05:00", "zone": "America/Bogota", "window": "07:00-19:00"},
        ),
        ("21:14 in America/Bogota", {"local": "21:14", "zone": "America/Bogota", "zones": 1}),
        (
            "21:14 in Asia/Tokyo on a public holiday, one of 3 zones the member may be in",
            {"local": "21:14", "zone": "Asia/Tokyo", "zones": 3, "holiday": True},
        ),
        (
            "06:00 in America/Anchorage, one of the country's zones",
            {"local": "06:00", "zone": "America/Anchorage", "zones": 29, "zone_known": False},
        ),
        ("consent record w1/form (granted, opt-in)", {"consent": "granted", "record": "w1/form", "basis": "opt_in"}),
        (
            "consent record w1/form (granted, soft-opt-in), model opt_in",
            {"model": "opt_in", "state": "granted", "basis": "soft_opt_in", "consent": "w1/form"},
        ),
        ("no consent on record, required yes", {"consent": None, "required": True}),
        (
            "list RNE/sms, obtained 2026-03-01T00:00, on it, max age days 5",
            {"registry": "RNE/sms", "max_age_days": 5, "listed": True, "checked_at": "2026-03-01T00:00"},
        ),
        ("list RNE/sms, never obtained, max age days 5", {"registry": "RNE/sms", "max_age_days": 5}),
        ("at least 20 hours apart, there was none before", {"gap": "PT20H", "last": None}),
        (
            "at least 1 day 12 hours apart, the last one was at 2026-03-01 14:00:05 UTC",
            {"gap": "P1DT12H", "last": "2026-03-01T09:00:05-05:00"},
        ),
        ("contact point hard-bounced since 2026-03-01", {"health": "hard_bounced", "since": "2026-03-01"}),
        ("no contact point", {"contact": None}),
        ("not in force then", {"in_force": False}),
        (
            "0 of 1 in week; read as: a calendar week; it might also mean: seven days; sources conflicting",
            {
                "n": 0,
                "max": 1,
                "per": "week",
                "reading": "a calendar week",
                "alt": "seven days",
                "confidence": "conflicting",
            },
        ),
        ("", {}),
    ],
)
def test_numbers_in_words(words: str, saw: dict[str, str | int | bool | None]) -> None:
    assert words == sentences.numbers(saw)


def test_a_moment_is_told_by_the_members_clock_and_in_utc() -> None:
    assert "Sunday 1 March 2026, 21:14 in America/Bogota (2026-03-02 02:14:00 UTC)" == sentences.moment(NOW, BOGOTA)
    assert "2026-03-02 02:14:00 UTC" == sentences.moment(NOW, None)


# --- stories


def test_a_deferred_intent_that_was_sent_is_one_story() -> None:
    deferred = Tried(channel="email", says="defer", release_at=RELEASE, findings=(CONSENT, HOURS, WEEK))
    hours = msgspec.structs.replace(
        HOURS, says="pass", reason="", until=None, saw={**HOURS.saw, "local": "2026-03-02T07:00-05:00"}
    )
    sent = Tried(channel="email", says="pass", findings=(CONSENT, hours, WEEK))
    rows = log(
        (NOW, [decision("defer", "law_hours", trail(deferred), release_at=RELEASE)]),
        (
            RELEASE,
            [decision("send", "", trail(sent)), touch("reserved", valid_until=RELEASE + timedelta(days=2))],
        ),
        (
            RELEASE + timedelta(minutes=1),
            [
                touch("attempting", occurred_at=RELEASE + timedelta(seconds=5)),
                touch("accepted", occurred_at=RELEASE + timedelta(seconds=6), trail='{"attempt":1,"code":""}'),
            ],
        ),
        (RELEASE + timedelta(hours=1), [touch("delivered", intent="", occurred_at=RELEASE + timedelta(minutes=30))]),
    )
    told = explain(rows, cite_of)
    expected = [
        (
            "Decided on Sunday 1 March 2026, 21:14 in America/Bogota (2026-03-02 02:14:00 UTC): to send it by e-mail, "
            "but to wait until Monday 2 March 2026, 07:00 in America/Bogota (2026-03-02 12:00:00 "
            "UTC), at the earliest, "
            "because it fell outside the hours that the law permits."
        ),
        (
            "The member's clock is that of America/Bogota, known from the member's address. Laws asked: CO@2026.11.0. "
            "Content revision: rev-1."
        ),
        "By e-mail: 3 rules asked, 1 against.",
        (
            "Against: it fell outside the hours that the law permits. Rule co.hours (CO@2026.11.0): 21:14 in "
            "America/Bogota, permitted 07:00-19:00. This rule alone would let it pass from Monday 2 "
            "March 2026, 07:00 in "
            "America/Bogota (2026-03-02 12:00:00 UTC). Law: Ley 2300/2023 art. 3 (Ley 2300 de 2023, "
            "https://example.org/ley-2300)."
        ),
        "Passed: Rule house.email.consent (email@2026-01-01): consent record w1/form (granted, opt-in).",
        "Passed: Rule house.week (house@2026-01-01): 2 of 3 in 7 days.",
        "Decided on Monday 2 March 2026, 07:00 in America/Bogota (2026-03-02 12:00:00 UTC): to send it by e-mail.",
        (
            "The member's clock is that of America/Bogota, known from the member's address. Laws asked: CO@2026.11.0. "
            "Content revision: rev-1."
        ),
        "By e-mail: 3 rules asked, none against.",
        "Rests on: Rule house.email.consent (email@2026-01-01): consent record w1/form (granted, opt-in).",
        (
            "Passed: Rule co.hours (CO@2026.11.0): 07:00 in America/Bogota, permitted 07:00-19:00. Law: Ley 2300/2023 "
            "art. 3 (Ley 2300 de 2023, https://example.org/ley-2300)."
        ),
        "Passed: Rule house.week (house@2026-01-01): 2 of 3 in 7 days.",
        (
            "The message was put in line to go out by e-mail on Monday 2 March 2026, 07:00 in "
            "America/Bogota (2026-03-02 "
            "12:00:00 UTC), to be handed over before Wednesday 4 March 2026, 07:00 in "
            "America/Bogota (2026-03-04 12:00:00 "
            "UTC)."
        ),
        "It was handed to the provider on Monday 2 March 2026, 07:00 in America/Bogota (2026-03-02 12:00:05 UTC).",
        (
            "The provider accepted it on Monday 2 March 2026, 07:00 in America/Bogota (2026-03-02 12:00:06 UTC) "
            "(attempt 1)."
        ),
        "It was delivered on Monday 2 March 2026, 07:30 in America/Bogota (2026-03-02 12:30:00 UTC).",
    ]
    assert 1 == len(told)
    assert expected == texts(told[0])
    assert ("touch", "welcome / hello: sent by e-mail, and delivered.") == (told[0].outcome, told[0].title)
    assert tuple(f"3/{n}" for n in range(1, 7)) == told[0].entries


def test_a_silence_names_every_rule_that_was_against_it() -> None:
    no_consent = Finding(rule="house.sms.consent", version="sms@1", says="suppress", reason="no_consent")
    tried = (
        Tried(channel="email", says="suppress", findings=(msgspec.structs.replace(HOURS, says="suppress"),)),
        Tried(channel="sms", says="suppress", findings=(no_consent, WEEK)),
    )
    told = explain(log((NOW, [decision("suppress", "law_hours", trail(*tried))])), cite_of)[0]
    assert "silence" == told.outcome
    expected = "welcome / hello: nothing was sent, because it fell outside the hours that the law permits."
    assert expected == told.title
    assert [
        "By e-mail: 1 rule asked, 1 against.",
        "By SMS: 2 rules asked, 1 against.",
    ] == [text for text in texts(told) if text.startswith("By ")]
    assert "Against: the member never consented to it. Rule house.sms.consent (sms@1)." in texts(told)


@pytest.mark.parametrize("reason", REASONS)
def test_a_silence_of_any_reason_can_be_told(reason: str) -> None:
    told = explain(log((NOW, [decision("suppress", reason)])))
    expected = f"welcome / hello: nothing was sent, because {sentences.REASONS[reason]}."
    assert [expected] == [paragraph.title for paragraph in told]


def test_a_waiting_intent_says_until_when() -> None:
    told = explain(log((NOW, [decision("defer", "quiet_hours", release_at=RELEASE)])))[0]
    expected = (
        "welcome / hello: waits by e-mail until Monday 2 March 2026, 07:00 in America/Bogota "
        "(2026-03-02 12:00:00 UTC), because it fell into the programme's own quiet hours."
    )
    assert ("waiting", expected) == (told.outcome, told.title)


def test_an_advisory_rule_is_noted_and_counts_for_nothing() -> None:
    advice = Finding(rule="co.courtesy", version="CO@1", says="suppress", reason="law_cap", advisory=True)
    tried = Tried(channel="email", says="pass", findings=(WEEK, advice))
    told = texts(explain(log((NOW, [decision("send", "", trail(tried))])))[0])
    assert "By e-mail: 2 rules asked, none against." in told
    expected = "Noted, binding nobody here: the law's limit of contacts was reached. Rule co.courtesy (CO@1)."
    assert expected in told


def test_several_candidate_zones_are_named() -> None:
    expected = (
        "The member's time zone is not known for sure, only by the member's country: "
        "the moment had to be permitted in all of America/Chicago, America/Denver and America/New_York."
    )
    zones = ("America/Chicago", "America/Denver", "America/New_York")
    assert expected == sentences.zones(zones, "country")


def test_many_candidate_zones_are_counted() -> None:
    assert "in all 6 zones it may be" in sentences.zones(("a", "b", "c", "d", "e", "f"), "country")


def test_no_zone_passes_for_the_members_clock_where_there_are_several() -> None:
    several = msgspec.json.encode(Trail(zones=("America/Adak", "America/Chicago"), zone_from="country")).decode()
    told = explain(log((NOW, [decision("send", "", several)])), zone=BOGOTA)[0]
    assert "Decided on 2026-03-02 02:14:00 UTC: to send it by e-mail." == texts(told)[0]


@pytest.mark.parametrize(
    ("words", "states"),
    [
        ("to be sent by e-mail", ["reserved"]),
        ("handed over by e-mail, without an answer so far", ["reserved", "attempting"]),
        ("sent by e-mail, and whether it arrived is not known", ["reserved", "attempting", "unknown"]),
        ("sent by e-mail, and delivered", ["reserved", "attempting", "unknown", "delivered"]),
        ("sent by e-mail, and clicked", ["reserved", "accepted", "clicked", "opened", "delivered"]),
        ("sent by e-mail, and refused by the provider", ["reserved", "attempting", "rejected"]),
        ("sent by e-mail, whereupon the member complained", ["reserved", "accepted", "complained", "opened"]),
        ("to be sent by e-mail", ["reserved", "cancelled", "reserved"]),
        ("to be sent by e-mail", ["reserved", "attempting", "reserved"]),
    ],
)
def test_a_late_word_never_takes_the_place_of_a_later_state(words: str, states: list[str]) -> None:
    rows = log((NOW, [decision("send"), *[touch(state) for state in states]]))
    assert f"welcome / hello: {words}." == explain(rows)[0].title


def test_a_call_that_may_be_repeated_is_told_so() -> None:
    again = touch("reserved", reason="throttled", release_at=RELEASE, occurred_at=NOW)
    told = texts(explain(log((NOW, [decision("send"), touch("reserved", valid_until=RELEASE), again])))[0])
    assert (
        "It was not taken on Sunday 1 March 2026, 21:14 in America/Bogota (2026-03-02 02:14:00 UTC), and may be tried "
        "again, from Monday 2 March 2026, 07:00 in America/Bogota (2026-03-02 12:00:00 UTC): the provider asked to "
        "slow down."
    ) == told[-1]


def test_a_withdrawal_from_several_channels_is_one_fact() -> None:
    entries = [
        Entry(kind="consent", channel=channel, purpose="marketing", state="withdrawn") for channel in ("email", "sms")
    ]
    told = explain(log((NOW, entries)), zone=BOGOTA)
    assert [
        (
            "The member took back the consent to marketing by e-mail and SMS on "
            "Sunday 1 March 2026, 21:14 in America/Bogota (2026-03-02 02:14:00 UTC)."
        )
    ] == [str(sentence) for paragraph in told for sentence in paragraph.sentences]
    assert ("3/1", "3/2") == told[0].entries


def test_an_operators_order_names_its_actor() -> None:
    entry = Entry(kind="operator", reason="suppress", trail='{"actor":"ana","channel":"sms"}')
    told = explain(log((NOW, [entry])))[0]
    expected = (
        "An operator ordered that the member is not contacted on 2026-03-02 02:14:00 UTC (actor ana, channel sms)."
    )
    assert [expected] == texts(told)


def test_only_one_journeys_stories_are_told_where_asked() -> None:
    other = decision("suppress", "stale", journey="birthday", intent_id="i2")
    rows = log((NOW, [decision("send"), touch("reserved"), other]))
    assert ["birthday"] == [paragraph.journey for paragraph in explain(rows, journey="birthday")]


def test_the_story_as_it_stood_at_a_moment() -> None:
    rows = log((NOW, [decision("defer", "quiet_hours", release_at=RELEASE)]), (RELEASE, [decision("send")]))
    assert ["waiting"] == [paragraph.outcome for paragraph in explain(rows, until=RELEASE - timedelta(microseconds=1))]
    assert ["touch"] == [paragraph.outcome for paragraph in explain(rows, until=RELEASE)]
    assert [] == explain(rows, until=NOW - timedelta(microseconds=1))


@pytest.mark.parametrize("damaged", ["{", "[]", '{"tried":7}', "text"])
def test_a_trail_that_cant_be_read_is_told_and_stops_nothing(damaged: str) -> None:
    told = explain(log((NOW, [decision("send", "", damaged), touch("reserved", trail=damaged)])))[0]
    assert "The ground of this decision can't be read." in texts(told)


def test_a_zone_that_is_not_known_any_more_falls_back_to_utc() -> None:
    gone = msgspec.json.encode(Trail(zones=("Mars/Olympus",), zone_from="profile")).decode()
    told = explain(log((NOW, [decision("send", "", gone)])))[0]
    assert "Decided on 2026-03-02 02:14:00 UTC: to send it by e-mail." == texts(told)[0]


def test_stories_come_in_the_order_in_which_they_began() -> None:
    rows = log(
        (NOW, [decision("defer", "quiet_hours", release_at=RELEASE)]),
        (NOW + timedelta(hours=1), [decision("suppress", "stale", intent_id="i2")]),
        (RELEASE, [decision("send")]),
    )
    assert ["i1", "i2"] == [paragraph.intent_id for paragraph in explain(rows)]


def test_every_entry_is_told_somewhere_but_ticks(entries: Callable[[int], list[Entry]]) -> None:
    rows = log((NOW, entries(12)))
    told = {entry for paragraph in explain(rows) for entry in paragraph.entries}
    assert {f"{row.partition}/{row.n}" for row in rows if row.kind != "tick"} == told
