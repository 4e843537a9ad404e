"""Each kind of clause by itself, where the packs' cases do not reach: windows, counting, dates."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestrator.decide.dealings import months_after
from orchestrator.decide.law_rules import AgeClause, CapClause, ConsentClause, RegistryClause
from orchestrator.decide.member import Consent, ContactPoint, Member, Place
from orchestrator.decide.rules import Question, RegistryState
from orchestrator.decide.windows import Window

NOW = datetime(2026, 9, 10, 15, 0, tzinfo=UTC)
BOGOTA = ZoneInfo("America/Bogota")


def place(hours_ago, channel="sms", journey="j", contact="c", purpose="marketing"):
    at = None if hours_ago is None else NOW - timedelta(hours=hours_ago)
    return Place(touch_id="t", channel=channel, purpose=purpose, journey=journey, contact=contact, at=at)


def question(*places, channel="sms", registries=None, zones=(BOGOTA,), **member):
    return Question(
        at=NOW,
        now=NOW,
        channel=channel,
        purpose="marketing",
        journey="j",
        member=Member(id="m", ref="r", places=places, **member),
        contact=ContactPoint(channel=channel, address="a", fingerprint="c"),
        zones=zones,
        registries=registries or {},
    )


def cap(**terms):
    terms.setdefault("per", "rolling_24h")
    terms.setdefault("window", Window("rolling", timedelta(hours=24)))
    return CapClause(rule="x.cap", version="X@1", cite="art. 1", **terms)


def test_the_third_in_a_day_waits_for_the_first_to_leave_the_window():
    finding = cap(maximum=2).answer(question(place(20), place(3)))
    assert ("defer", "law_cap", NOW + timedelta(hours=4)) == (finding.says, finding.reason, finding.until)
    assert {"n": 2, "max": 2, "per": "rolling_24h"} == dict(finding.saw)


def test_a_touch_exactly_a_window_ago_has_left_it():
    assert "pass" == cap(maximum=1).answer(question(place(24))).says
    assert "defer" == cap(maximum=1).answer(question(place(23.999))).says


def test_what_is_in_flight_counts_as_now():
    assert NOW + timedelta(hours=24) == cap(maximum=1).answer(question(place(None))).until


@pytest.mark.parametrize(
    ("terms", "other", "expected"),
    [
        ({"by_subject": True}, place(1, journey="other"), "pass"),
        ({"by_subject": True}, place(1), "defer"),
        ({"by_contact": True}, place(1, contact="other"), "pass"),
        ({"by_contact": True}, place(1), "defer"),
        ({"channels": frozenset({"phone"})}, place(1), "pass"),
        ({"purposes": frozenset({"marketing"})}, place(1, purpose="service"), "pass"),
    ],
)
def test_only_what_the_law_counts_is_counted(terms, other, expected):
    assert expected == cap(maximum=1, **terms).answer(question(other)).says


def test_distinct_channels_wait_until_enough_of_them_have_left():
    two = cap(maximum=2, distinct=True)
    assert "pass" == two.answer(question(place(20, "email"), place(2, "email"))).says
    full = two.answer(question(place(20, "email"), place(6, "push"), place(2, "email")))
    assert (2, NOW + timedelta(hours=18)) == (full.saw["n"], full.until)


def test_the_channel_asked_about_never_stands_in_its_own_way():
    assert "pass" == cap(maximum=1, distinct=True).answer(question(place(2), place(1))).says


def test_consecutive_days_are_local_days_in_every_candidate_zone():
    seven = cap(maximum=1, per="7_consecutive_days", window=None, days=7)
    hours = 6 * 24 + 11
    # 2026-09-04 04:00 UTC is still the 3rd in Bogota, and the 4th in Madrid
    assert "pass" == seven.answer(question(place(hours))).says
    finding = seven.answer(question(place(hours), zones=(BOGOTA, ZoneInfo("Europe/Madrid"))))
    assert datetime(2026, 9, 10, 22, 0, tzinfo=UTC) == finding.until


@pytest.mark.parametrize("said", ["yesterday", "2026-09-10T08:00:00", ""])
def test_an_attribute_that_is_no_instant_counts_nothing(said):
    clause = cap(maximum=1, attribute="talked")
    assert "pass" == clause.answer(question(attributes={"talked": said})).says


def test_an_attribute_that_is_an_instant_counts_once():
    finding = cap(maximum=1, attribute="talked").answer(question(attributes={"talked": "2026-09-10T13:00:00Z"}))
    assert NOW + timedelta(hours=22) == finding.until


def test_a_list_never_loaded_is_unknown_and_a_listed_one_says_so_at_any_age():
    clause = RegistryClause(rule="x.list", version="X@1", cite="art. 1", name="L", max_age=timedelta(days=5))
    assert "registry_unknown" == clause.answer(question()).reason
    old = RegistryState(True, NOW - timedelta(days=50))
    assert "registry_listed" == clause.answer(question(registries={"L": old})).reason


@pytest.mark.parametrize(("unknown", "expected"), [("pass", "pass"), ("suppress", "suppress")])
def test_a_pack_says_what_an_unknown_birthday_means(unknown, expected):
    clause = AgeClause(rule="x.age", version="X@1", cite="art. 1", minimum=18, unknown=unknown)
    assert expected == clause.answer(question()).says


@pytest.mark.parametrize("model", ["none", "opt_out", "soft_opt_in", "opt_in", "opt_in_separate"])
def test_only_a_law_that_asks_nothing_passes_over_a_withdrawal(model):
    record = Consent(channel="sms", purpose="marketing", state="withdrawn", at=NOW)
    clause = ConsentClause(rule="x.consent", version="X@1", cite="art. 1", model=model)
    says = clause.answer(question(consents={"sms/marketing": record})).says
    assert ("pass" if model == "none" else "suppress") == says


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        ("2024-02-29", 12, "2025-03-01"),
        ("2024-01-31", 1, "2024-03-01"),
        ("2024-12-15", 1, "2025-01-15"),
        ("2024-08-31", 12, "2025-08-31"),
    ],
)
def test_months_later_is_the_same_day_or_the_first_that_comes_after(start, months, expected):
    at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert expected == months_after(at, months).date().isoformat()
