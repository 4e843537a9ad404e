"""Policy files: what is shipped, how entries are dated, and how every mistake is told."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from orchestrator.content import locate
from orchestrator.content.files import parse_yaml, read_yaml
from orchestrator.content.policies import is_holiday, load_policies
from orchestrator.content.policy_cases import HOUSE_REASONS, list_rules, run_cases
from orchestrator.content.policy_file import PolicyWords
from orchestrator.decide.decision import TELLING, weigh
from orchestrator.decide.hours import HOLIDAY, open_until
from orchestrator.decide.member import Consent, ContactPoint, Member, Place, Residence
from orchestrator.decide.policies import HousePolicies
from orchestrator.decide.rules import REASONS, Question, strictest
from orchestrator.errors import ContentError
from orchestrator.located import convert

SHIPPED = locate.shipped("channel_policies")
POLICIES = load_policies(SHIPPED)
NOON = datetime(2026, 11, 18, 11, tzinfo=UTC)
WHY = "why: because it is so"
HOUSE = f"""\
channel: house
units: touches and durations
entries:
  - effective: 2020-01-01
    {WHY}
"""
EMAIL = HOUSE.replace("house", "email")


def folder(tmp_path: Path, **files: str) -> Path:
    """A policy folder with these files, and an empty house where none is given."""
    made = tmp_path / "channel_policies"
    made.mkdir()
    for name, text in {"house": HOUSE, **files}.items():
        (made / f"{name.replace('_', '.')}.yaml").write_text(text, encoding="utf-8")
    return made


def question(at: datetime = NOON, journey: str = "welcome", purpose: str = "marketing", *places: Place) -> Question:
    consent = Consent(channel="email", purpose="marketing", state="granted", at=at, wording="w", evidence="e")
    member = Member(id="m", ref="r", places=places, consents={"email/marketing": consent})
    contact = ContactPoint(channel="email", address="a", fingerprint="f")
    return Question(
        at=at, now=at, channel="email", purpose=purpose, journey=journey, member=member, contact=contact,
        zones=(ZoneInfo("Europe/Madrid"),), registries={},
    )  # fmt: skip


def sent(*ago: timedelta, at: datetime = NOON) -> tuple[Place, ...]:
    return tuple(
        Place(touch_id="t", channel="email", purpose="marketing", journey="welcome", contact="f", at=at - back)
        for back in ago
    )


# --- what is shipped


def test_every_shipped_case_gets_its_verdict_and_every_rule_and_reason_is_reached() -> None:
    result = run_cases(SHIPPED)
    assert result.failures == ()
    assert ((), (), ()) == (result.unreached_rules, result.unreached_reasons, result.without_cases)
    assert set(HOUSE_REASONS) <= set(REASONS)


def test_at_least_eight_house_rules_are_asked_for_a_marketing_email() -> None:
    rules = POLICIES.rules_for("email", "marketing", "welcome")
    findings = [rule.judge(question()) for rule in rules]
    assert len(rules) >= 8
    assert [rule.id for rule in rules] == [finding.rule for finding in findings]
    assert all(finding.saw and finding.version for finding in findings)


def test_a_service_email_is_asked_no_marketing_rule() -> None:
    assert ["house.dispatch_window", "house.contact-point"] == [
        rule.id for rule in POLICIES.rules_for("email", "service", "welcome")
    ]


def test_senders_margins_ranks_and_order_are_told() -> None:
    assert POLICIES.sender("email").address == "club@example.com"
    assert POLICIES.sender("push").address == ""
    assert (timedelta(minutes=5), timedelta(minutes=2)) == tuple(map(POLICIES.latency_margin, ("email", "push")))
    assert POLICIES.rank("service") < POLICIES.rank("collections") < POLICIES.rank("marketing")
    assert POLICIES.channel_order()[0] == "push"
    assert timedelta(days=31) <= POLICIES.longest_window


def test_quiet_tells_the_hours_that_are_left_open() -> None:
    week = POLICIES.quiet("sms", "marketing")
    assert week is not None
    assert (((540, 1200),), (), ()) == (week.days[0], week.days[6], week.days[HOLIDAY])
    assert POLICIES.quiet("email", "service") is None


def test_every_rule_is_listed_with_its_words_and_its_line() -> None:
    lines = {(line.rule, line.effective): line for line in list_rules(SHIPPED)}
    month = lines["house.email.month", "2026-07-01"]
    assert ("at most 8 per calendar month over email", ("email",), ("marketing",)) == (
        month.says, month.channels, month.purposes,
    )  # fmt: skip
    file, _, number = month.place.partition(":")
    assert "month:" in (SHIPPED.parent / file).read_text(encoding="utf-8").splitlines()[int(number) - 1]


def test_holidays_are_those_of_the_country_and_its_part() -> None:
    assert is_holiday("ES", date(2026, 12, 8))
    assert not is_holiday("CO", date(2026, 12, 9))
    assert is_holiday("DE-BY", date(2026, 1, 6))
    assert not is_holiday("DE", date(2026, 1, 6))
    assert is_holiday("ES-XX", date(2026, 12, 8))
    assert not is_holiday("XX", date(2026, 12, 25))


moments = st.integers(0, 40 * 24 * 60).map(lambda minutes: NOON - timedelta(days=20) + timedelta(minutes=minutes))
histories = st.lists(st.integers(0, 15 * 24 * 60), max_size=6)


@given(moments, histories, st.data())
@settings(max_examples=60, deadline=None)
def test_one_more_rule_never_turns_suppress_or_defer_into_send(
    at: datetime, ago: list[int], data: st.DataObject
) -> None:
    asked = question(at, "welcome", "marketing", *sent(*(timedelta(minutes=minutes) for minutes in ago), at=at))
    rules = POLICIES.rules_for("email", "marketing", "welcome")
    some = data.draw(st.lists(st.sampled_from(rules), unique_by=lambda rule: rule.id))
    order = ("pass", "defer", "suppress")
    before = 0
    for n in range(len(some) + 1):
        now = order.index(strictest([rule.judge(asked) for rule in some[:n]]))
        assert before <= now
        before = now


@given(moments, histories)
@settings(max_examples=60, deadline=None)
def test_a_deferral_is_released_when_every_rule_passes_and_not_an_hour_before(at: datetime, ago: list[int]) -> None:
    asked = question(at, "welcome", "marketing", *sent(*(timedelta(minutes=minutes) for minutes in ago), at=at))
    rules = POLICIES.rules_for("email", "marketing", "welcome")
    found = weigh(rules, asked)
    if found.release_at is None:
        assert found.says == "pass"
        return
    places = asked.member.places

    def passes(then: datetime) -> bool:
        later = question(at, "welcome", "marketing", *places)
        later = Question(**{name: getattr(later, name) for name in later.__struct_fields__} | {"at": then})
        return strictest([rule.judge(later) for rule in rules]) == "pass"

    assert passes(found.release_at)
    hours = int((found.release_at - at) / timedelta(hours=1))
    assert not any(passes(at + i * timedelta(hours=1)) for i in range(hours))
    assert not passes(found.release_at - timedelta(microseconds=1))


# --- dated entries

DATED = (
    EMAIL
    + f"""\
    sender: {{address: old@example.com}}
    latency_margin: PT1M
    caps:
      week: {{max: 1, window: rolling P7D, {WHY}}}
    quiet_hours:
      night: {{closed: {{mon-sun: ["21:00-08:00"]}}, {WHY}}}
  - effective: 2026-11-18
    {WHY}
    sender: {{address: new@example.com}}
    caps:
      week: {{max: 2, window: rolling P7D, {WHY}}}
  - effective: 2026-11-20
    {WHY}
    caps:
      week: {{max: unlimited, {WHY}}}
    quiet_hours:
      night: {{closed: none, {WHY}}}
"""
)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("at", "maximum"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC) - MICROSECOND, None),
        (datetime(2020, 1, 1, tzinfo=UTC), 1),
        (datetime(2026, 11, 18, tzinfo=UTC) - MICROSECOND, 1),
        (datetime(2026, 11, 18, tzinfo=UTC), 2),
        (datetime(2026, 11, 20, tzinfo=UTC), None),
    ],
)
def test_the_entry_in_force_at_the_moment_asked_about_answers(
    tmp_path: Path, at: datetime, maximum: int | None
) -> None:
    rules = load_policies(folder(tmp_path, email=DATED)).rules_for("email", "marketing", "welcome")
    week = next(rule for rule in rules if rule.id == "house.email.week")
    assert maximum == week.judge(question(at)).saw.get("max")


def test_what_an_entry_does_not_name_stays_as_it_was(tmp_path: Path) -> None:
    policies = load_policies(folder(tmp_path, email=DATED))
    new = datetime(2026, 11, 18, tzinfo=UTC)
    assert ("old@example.com", "new@example.com", "new@example.com") == tuple(
        policies.sender("email", at).address for at in (new - MICROSECOND, new, None)
    )
    assert timedelta(minutes=1) == policies.latency_margin("email", new)
    assert policies.quiet("email", "marketing", new) is not None
    assert policies.quiet("email", "marketing", datetime(2026, 11, 20, tzinfo=UTC)) is None
    assert any(line.says == "no longer in force" for line in list_rules(tmp_path / "channel_policies"))


def test_the_hours_of_the_entry_in_force_end_when_they_say(tmp_path: Path) -> None:
    policies = load_policies(folder(tmp_path, email=DATED))
    ends = {
        rule.id: [open_until(rule, question(datetime(2026, 11, day, 12, tzinfo=UTC))) for day in (19, 20)]
        for rule in policies.rules_for("email", "marketing", "welcome")
    }
    assert [datetime(2026, 11, 19, 20, tzinfo=UTC), None] == ends["house.email.night"]
    assert [None, None] == ends["house.email.week"]


def test_no_policies_ask_nothing_and_name_nobody() -> None:
    none = HousePolicies()
    assert ((), "", timedelta(0), ()) == (
        none.rules_for("email", "marketing", "welcome"),
        none.sender("email").address,
        none.latency_margin("email"),
        none.channel_order(),
    )
    assert not none.holiday_in("ES", date(2026, 12, 25))
    assert none.rank("marketing") > POLICIES.rank("marketing")


def test_a_window_over_midnight_closes_the_evening_and_the_next_morning_also_into_a_holiday(tmp_path: Path) -> None:
    text = EMAIL + f"""\
    quiet_hours:
      night: {{closed: {{fri: ["22:00-06:00"], sun: ["12:00-24:00"], holiday: ["00:00-09:00"]}}, {WHY}}}
"""  # fmt: skip
    week = load_policies(folder(tmp_path, email=text)).quiet("email", "marketing")
    assert week is not None
    day = ((0, 1440),)
    assert (day, day, day, day, ((0, 1320),), ((360, 1440),), ((0, 720),), ((540, 1440),)) == week.days


def test_quiet_hours_of_house_and_channel_leave_open_what_both_do(tmp_path: Path) -> None:
    house = HOUSE + f"""\
    quiet_hours:
      night: {{closed: {{mon-sun: ["20:00-07:00"]}}, {WHY}}}
"""  # fmt: skip
    email = EMAIL + f"""\
    quiet_hours:
      night: {{closed: {{mon-sat: ["12:00-13:00"], holiday: ["00:00-12:00"]}}, {WHY}}}
"""  # fmt: skip
    week = load_policies(folder(tmp_path, house=house, email=email)).quiet("email", "marketing")
    assert week is not None
    assert (((420, 720), (780, 1200)), ((420, 1200),), ((720, 1200),)) == (week.days[0], week.days[6], week.days[7])
    (tmp_path / "channel_policies" / "email.yaml").write_text(email.replace(', holiday: ["00:00-12:00"]', ""))
    week = load_policies(tmp_path / "channel_policies").quiet("email", "marketing")
    assert week is not None
    assert (((420, 720), (780, 1200)), None) == (week.days[0], week.days[7])


def test_a_cap_may_bind_a_group_of_channels_and_named_journeys(tmp_path: Path) -> None:
    text = EMAIL + f"""\
    caps:
      texts: {{max: 1, window: calendar week, over: [sms, whatsapp], {WHY}}}
      birthday: {{max: 1, window: calendar month, over: all, journeys: [birthday], {WHY}}}
      own: {{max: 1, window: calendar day, journeys: each, purposes: [service], counts: [service, marketing], {WHY}}}
"""  # fmt: skip
    policies = load_policies(folder(tmp_path, email=text), {"birthday": ""})

    def asked(channel: str, purpose: str, journey: str) -> list[str]:
        return [rule.id.rpartition(".")[2] for rule in policies.rules_for(channel, purpose, journey)][1:]

    assert ["texts"] == asked("whatsapp", "marketing", "welcome")
    assert ["texts", "birthday"] == asked("sms", "marketing", "birthday")
    assert ["birthday"] == asked("email", "marketing", "birthday")
    assert ["own"] == asked("email", "service", "welcome")


def test_a_spread_is_the_channels_else_the_houses_else_none(tmp_path: Path) -> None:
    policies = load_policies(
        folder(tmp_path, house=HOUSE + "    release_spread: PT30M\n", email=EMAIL + "    release_spread: PT1H\n")
    )
    spreads = [policies.release_spread(channel, NOON) for channel in ("email", "sms")]
    assert [timedelta(hours=1), timedelta(minutes=30)] == spreads
    assert timedelta(0) == policies.release_spread("sms", datetime(2019, 12, 31, tzinfo=UTC))
    assert timedelta(0) == POLICIES.release_spread("email", NOON)


def test_every_reason_of_a_rule_of_the_house_has_its_place_among_the_telling_ones() -> None:
    assert set(HOUSE_REASONS) <= set(TELLING) <= set(REASONS)
    assert {"law_hours", "law_cap", "registry_listed", "under_age", "suppressed", "channel_refused"} <= set(TELLING)
    assert len(TELLING) == len(set(TELLING))


JOURNEYS = {"birthday": "retention", "thank-you": "retention", "welcome": "acquisition", "other": ""}


def test_a_cap_may_bind_a_named_group_and_a_category_of_journeys(tmp_path: Path) -> None:
    house = (
        HOUSE
        + f"""\
    groups: {{phones: [sms]}}
    caps:
      phones: {{max: 1, window: calendar week, over: phones, {WHY}}}
      kept: {{max: 1, window: rolling P7D, categories: [retention], {WHY}}}
  - effective: 2026-01-01
    {WHY}
    groups: {{phones: [sms, whatsapp]}}
    caps:
      phones: {{max: 1, window: calendar week, over: phones, {WHY}}}
"""
    )
    policies = load_policies(folder(tmp_path, house=house), JOURNEYS)

    def asked(channel: str, journey: str, at: datetime = NOON) -> list[str]:
        asked_about = msgspec.structs.replace(question(at, journey), channel=channel)
        found = [rule.judge(asked_about) for rule in policies.rules_for(channel, "marketing", journey)][1:]
        return [finding.rule for finding in found if finding.version != "none"]

    assert ["house.phones", "house.kept"] == asked("sms", "birthday")
    assert ["house.phones"] == asked("whatsapp", "other")
    assert [] == asked("whatsapp", "welcome", datetime(2025, 12, 31, tzinfo=UTC))
    assert ["house.kept"] == asked("email", "thank-you")


@pytest.mark.parametrize(("category", "says"), [("retention", "defer"), ("acquisition", "pass"), ("", "pass")])
def test_a_cap_by_category_counts_the_category_a_touch_had(tmp_path: Path, category: str, says: str) -> None:
    """Also where the journey is gone by now."""
    house = HOUSE + f"    caps:\n      kept: {{max: 1, window: rolling P7D, categories: [retention], {WHY}}}\n"
    policies = load_policies(folder(tmp_path, house=house), JOURNEYS)
    place = msgspec.structs.replace(sent(timedelta(days=1))[0], journey="gone", category=category)
    assert (
        says
        == weigh(
            policies.rules_for("email", "marketing", "birthday"), question(NOON, "birthday", "marketing", place)
        ).says
    )


@pytest.mark.parametrize(
    ("count", "journey", "sent_by", "says"),
    [
        ("true", "birthday", "welcome", "pass"),
        ("true", "welcome", "birthday", "defer"),
        ("false", "birthday", "welcome", "pass"),
        ("false", "welcome", "birthday", "pass"),
        ("false", "welcome", "welcome", "defer"),
        # by its category
        ("true", "thank-you", "welcome", "pass"),
        ("true", "welcome", "thank-you", "defer"),
        ("false", "welcome", "thank-you", "pass"),
    ],
)
@pytest.mark.parametrize("counting", ["caps", "gaps"])
def test_whom_a_rule_exempts_it_does_not_stop_and_it_says_whether_they_count(
    tmp_path: Path, counting: str, count: str, journey: str, sent_by: str, says: str
) -> None:
    number = "max: 1, window: rolling P7D" if counting == "caps" else "at_least: P2D"
    exempt = f"exempt: {{journeys: [birthday], categories: [kept], count: {count}}}"
    house = HOUSE + f"    {counting}:\n      one: {{{number}, {exempt}, {WHY}}}\n"
    policies = load_policies(folder(tmp_path, house=house), {**JOURNEYS, "thank-you": "kept"})
    place = msgspec.structs.replace(
        sent(timedelta(days=1))[0], journey=sent_by, category="kept" if sent_by == "thank-you" else ""
    )
    found = weigh(policies.rules_for("email", "marketing", journey), question(NOON, journey, "marketing", place))
    assert says == found.says


def test_quiet_hours_know_the_holidays_of_the_part_of_a_country(tmp_path: Path) -> None:
    """The second of May is one in Madrid, and none in Catalonia; no law pack tells the two apart."""
    text = (
        EMAIL
        + f"""\
    quiet_hours:
      day: {{closed: {{holiday: ["00:00-24:00"]}}, {WHY}}}
"""
    )
    policies = load_policies(folder(tmp_path, email=text))
    asked = question(datetime(2025, 5, 2, 10, tzinfo=UTC))
    home = Residence(jurisdictions=("ES",), zones=("Europe/Madrid",))

    def says(region: str) -> str:
        member = msgspec.structs.replace(asked.member, residence=home, region=region)
        return weigh(policies.rules_for("email", "marketing", "j"), msgspec.structs.replace(asked, member=member)).says

    assert ["defer", "pass", "pass"] == [says(region) for region in ("ES-MD", "ES-CT", "")]


# --- mistakes

BODY = """\
    caps:
      week: {max: 3, window: rolling P7D, why: because it is so}
    quiet_hours:
      night:
        closed: {mon-sun: ["21:00-08:00"]}
        why: because it is so
    gaps:
      breath: {at_least: PT20H, why: because it is so}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("channel: email", "channel: emial", 1, "did you mean `email`?"),
        ("channel: email", "channel: sms", 1, "write `channel: email`"),
        ("units: touches", "unit: touches", 2, "did you mean `units`?"),
        ("units: touches and durations\n", "", 1, "`units` is missing"),
        ("caps:", "cap:", 6, "did you mean `caps`?"),
        ("max: 3", "maximum: 3", 7, "did you mean `max`?"),
        ("max: 3", "max: many", 7, "a whole number, unlimited"),
        ("max: 3", "max: -1", 7, "must be at least 0"),
        ("rolling P7D", "rolling 7 days", 7, "no duration such as P7D"),
        ("rolling P7D", "rolling PT0S", 7, "a window has a length"),
        ("rolling P7D", "rolling none", 7, "a window has a length"),
        ("rolling P7D", "calender day", 7, "did you mean `calendar day`?"),
        (", why: because it is so}\n    quiet", "}\n    quiet", 7, "`why` is missing"),
        ("max: 3", "max: 3, purposes: [marketng]", 7, "did you mean `marketing`?"),
        ("max: 3", "max: 3, over: [smss]", 7, "did you mean `sms`?"),
        ("max: 3", "max: 3, over: phones", 7, "there is no group `phones` (there is: all)"),
        ("max: 3", "max: 3, categories: [acquistion]", 7, "did you mean `acquisition`?"),
        ("max: 3", "max: 3, exempt: {journeys: [welcome]}", 7, "`count` is missing"),
        ("max: 3", "max: 3, exempt: {journeys: [welcom], count: true}", 7, "did you mean `welcome`?"),
        ("max: 3", "max: 3, exempt: {categories: [retention], count: true}", 7, "of category `retention`"),
        ("max: 3", "max: 3, exempt: {count: true}", 7, "`exempt` exempts nobody"),
        ("    caps:", "    groups: {phones: [sms]}\n    caps:", 6, "move it to house.yaml"),
        ("    caps:", "    release_spread: PT13H\n    caps:", 6, "half a day is the longest spread"),
        ("max: 3", "max: 3, journeys: [welcom]", 7, "did you mean `welcome`?"),
        ("max: 3", "max: 3, reserved: {places: 4, journeys: [welcome]}", 7, "no more than `max`"),
        ("max: 3", "max: 3, reserved: {places: 1, journeys: [welcom]}", 7, "did you mean `welcome`?"),
        ("mon-sun", "mon-sunday", 10, "did you mean `mon-sun`?"),
        ("mon-sun", "sun-mon", 10, "is no day"),
        ("21:00-08:00", "21-8", 10, 'write "21:00-08:00"'),
        ("21:00-08:00", "08:00-08:00", 10, "00:00-24:00"),
        ('mon-sun: ["21:00-08:00"]', 'holiday: ["21:00-08:00"]', 10, "two windows"),
        ('{mon-sun: ["21:00-08:00"]}', "nonne", 10, "did you mean `none`?"),
        ("breath", "week", 13, "a name of its own"),
        ("PT20H", "20h", 13, "no duration such as P7D"),
        ("effective: 2020-01-01", "effective: 2020-13-01", 4, "month must be in 1..12"),
        ("    caps:", "    rank: {service: 1}\n    caps:", 6, "move it to house.yaml"),
        ("    caps:", "    latency_margin: five\n    caps:", 6, "no duration such as P7D"),
        ("    gaps:", "    caps: {}\n    gaps:", 12, "stands twice, first on line 6"),
        ("    gaps:", "  - effective: 2020-01-01\n    why: because it is so\n    gaps:", 12, "order of time"),
        ("max: 3", "max: [3", 13, "no YAML"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_file_line_and_cure(tmp_path: Path, old: str, new: str, line: int, told: str) -> None:
    assert old in EMAIL + BODY
    broken = (EMAIL + BODY).replace(old, new, 1)
    with pytest.raises(ContentError) as caught:
        load_policies(folder(tmp_path, email=broken), {"welcome": "acquisition", "birthday": ""})
    said = [str(problem) for problem in caught.value.problems]
    if told == "no YAML":
        assert said[0].startswith("channel_policies/email.yaml:")
        assert told in said[0]
        return
    assert any(text.startswith(f"channel_policies/email.yaml:{line}:") and told in text for text in said), said


def test_the_unbroken_file_of_these_mistakes_is_read(tmp_path: Path) -> None:
    policies = load_policies(folder(tmp_path, email=EMAIL + BODY), {"welcome": ""})
    assert len(policies.rules_for("email", "marketing", "welcome")) == 4


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ContentError) as caught:
        load_policies(folder(tmp_path, email=EMAIL + "    cap: {}\n    gap: {}\n", sms="channel: [\n"))
    assert {"channel_policies/email.yaml", "channel_policies/sms.yaml"} == {p.file for p in caught.value.problems}
    assert len(caught.value.problems) == 3


def test_without_a_house_file_there_are_no_policies(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "house.yaml").unlink()
    with pytest.raises(ContentError, match=r"house\.yaml:1: this file does not exist"):
        load_policies(made)


# --- cases

CASES = """\
cases:
  - case: it passes at noon
    given: {channel: email}
    at: 2026-11-18T12:00:00+01:00
    expect: {says: pass}
"""


def test_a_case_answered_otherwise_is_a_failure_with_its_line(tmp_path: Path) -> None:
    wrong = CASES.replace("{says: pass}", "{says: suppress, reason: no_consent, rule: house.email.week}")
    made = folder(tmp_path, email=EMAIL + BODY, email_cases=wrong)
    result = run_cases(made)
    assert not result.ok
    (failure,) = result.failures
    assert failure.place == "channel_policies/email.cases.yaml:2"
    assert ("suppress no_consent by house.email.week", "pass by no rule") == (failure.expected, failure.got)
    assert "house.email.week" in result.unreached_rules
    assert "quiet_hours" in result.unreached_reasons
    assert result.without_cases == ("house",)


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("says: pass", "says: send", 5, "there is: defer, pass, suppress"),
        ("says: pass", "says: defer", 5, "name the reason code"),
        ("says: pass", "says: pass, reason: quiet_hours", 5, "leave it out"),
        ("says: pass", "says: defer, reason: quiet_hour", 5, "did you mean `quiet_hours`?"),
        ("says: pass", "says: defer, reason: quiet_hours, rule: house.email.nite", 5, "you mean `house.email.night`?"),
        ("channel: email", "zones: [Europe/Madird]", 3, "did you mean `Europe/Madrid`?"),
        ("channel: email", "purpose: service", 3, "add `channel:`"),
        ("12:00:00+01:00", "12:00:00", 4, "timezone"),
        ("given:", "giving:", 3, "did you mean `given`?"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_case_is_told_with_file_line_and_cure(
    tmp_path: Path, old: str, new: str, line: int, told: str
) -> None:
    made = folder(tmp_path, email=EMAIL + BODY, house_cases=CASES.replace(old, new, 1))
    with pytest.raises(ContentError) as caught:
        run_cases(made)
    said = [str(problem) for problem in caught.value.problems]
    assert any(text.startswith(f"channel_policies/house.cases.yaml:{line}:") and told in text for text in said), said


def test_a_changed_number_makes_a_shipped_case_fail(tmp_path: Path) -> None:
    """The cases stand on both sides of each boundary: moving one by a little is noticed."""
    for file, old, new in (
        ("email.yaml", "21:00-08:00", "21:01-08:00"),
        ("email.yaml", "21:00-08:00", "21:00-08:01"),
        ("sms.yaml", "20:00-09:00", "20:00-08:59"),
        ("house.yaml", "at_least: PT20H", "at_least: PT21H"),
        ("house.yaml", "max: 4", "max: 5"),
        ("house.yaml", "max: 1", "max: 2"),
        ("house.yaml", "P3D", "P3DT1S"),
        ("email.yaml", "max: 8", "max: 7"),
        ("email.yaml", "max: 8", "max: 9"),
        ("sms.yaml", "rolling P7D", "rolling P6D"),
        ("whatsapp.yaml", "[marketing, service]", "[marketing]"),
    ):
        made = tmp_path / f"{file}-{new}" / "channel_policies"
        shutil.copytree(SHIPPED, made, ignore=shutil.ignore_patterns("laws"))
        text = (made / file).read_text(encoding="utf-8")
        assert old in text
        (made / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        assert not run_cases(made).ok, (file, new)


# --- the YAML that all content is read with


def test_words_and_hours_are_read_as_people_mean_them() -> None:
    text = "NO: on\nt: 21:00\nb: true\nn: 12\nf: 1.5\nnothing: ~\nd: 2026-11-18\nat: 2026-11-18T12:00:00Z\nx: 0777\n"
    assert {
        "NO": "on", "t": "21:00", "b": True, "n": 12, "f": 1.5, "nothing": None, "d": date(2026, 11, 18),
        "at": datetime(2026, 11, 18, 12, tzinfo=UTC), "x": "0777",
    } == parse_yaml(text, "f").value  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: &x 2\nc: *x\n", "f:2:4: an alias|f:3:4: an alias"),
        ("a: 1\na: 2\n", "f:2:1: `a` stands twice, first on line 1"),
        ("a: 1\n[b]: 2\n", "f:2:1: a key must be a plain word"),
        ("a: !!python/object/apply:os.getcwd []\n", "f:1:4: no YAML"),
        ("a: b: c\n", "f:1:5: no YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ContentError) as caught:
        parse_yaml(text, "f")
    assert any(str(caught.value).startswith(option) for option in told.split("|")), str(caught.value)


def test_an_empty_file_lacks_everything() -> None:
    with pytest.raises(ContentError, match="f:1:"):
        convert(parse_yaml("", "f"), PolicyWords)


def test_what_can_not_be_read_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: señor".encode("latin-1"))
    with pytest.raises(ContentError, match=r"latin\.yaml:1: this file is not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
    with pytest.raises(ContentError, match=r"short:1: this file does not exist"):
        read_yaml(tmp_path / "absent.yaml", "short")


class Wait(Struct, tag="wait", tag_field="do", forbid_unknown_fields=True):
    days: int


class Send(Struct, tag="send", tag_field="do", forbid_unknown_fields=True):
    channel: Literal["email", "sms"]


class Steps(Struct, forbid_unknown_fields=True):
    steps: list[Wait | Send]
    pair: tuple[int, str] = (0, "")
    note: Annotated[str, Meta(max_length=3)] | None = None
    after: Annotated[str, Meta(pattern="^P", description="a duration such as P3D")] | None = None
    times: Annotated[int, Meta(ge=1)] = 1
    names: Annotated[tuple[str, ...], Meta(min_length=1)] = ("a",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps:\n- {do: wait, days: 1}\n- {do: snd}\n", "f:3:4: `snd` is no `do` (did you mean `send`?"),
        ("steps:\n- {days: 1}\n", "f:2:3: `do` is missing (there is: send, wait)"),
        ("steps:\n- do: send\n  channel: smss\n", "f:3:3: `channel`: `smss` is not known here (did you mean `sms`?"),
        ("steps:\n- do: wait\n  days: 1\n  channel: sms\n", "f:4:3: `channel` is not known here"),
        ("steps: []\npair:\n- 1\n- 2\n", "f:4:3: must be text, not a whole number (it says `2`)"),
        ("steps: []\nnote: long\n", "f:2:1: `note`: must be at most 3 characters long (it says `long`)"),
        ("steps: 3\n", "f:1:1: `steps`: must be a list, not a whole number (it says `3`)"),
        ("steps: []\nafter: 3 days\n", "f:2:1: `after`: must be a duration such as P3D (it says `3 days`)"),
        ("steps: []\ntimes: 0\n", "f:2:1: `times`: must be at least 1 (it says `0`)"),
        ("steps: []\nnames: []\n", "f:2:1: `names`: must not be empty"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_told_where_it_stands(text: str, told: str) -> None:
    with pytest.raises(ContentError) as caught:
        convert(parse_yaml(text, "f"), Steps)
    assert str(caught.value).startswith(told)


def test_a_part_of_a_file_keeps_its_lines() -> None:
    located = parse_yaml("a: 1\nb:\n  steps:\n  - {do: wait, days: 2}\n", "f")
    assert [Wait(days=2)] == convert(located, Steps, at=("b",)).steps
    assert (4, 4, 1) == (located.line("b", "steps", 0), located.line("b", "steps", 0, "x", "y"), located.line("z"))
