"""The shipped packs load, say where they come from, and their own cases hold."""

import os
from datetime import date
from pathlib import Path

import pytest

from orchestrator.content import law_reports, locate
from orchestrator.content.law_cases import judge, read_cases, read_table
from orchestrator.content.laws import load_laws, overdue

LAWS = locate.shipped("channel_policies") / "laws"
BOOK = load_laws(LAWS)
CASES = [
    pytest.param(case, id=f"{jurisdiction}:{line}")
    for jurisdiction in sorted(BOOK.packs)
    for line, case in read_cases(LAWS / jurisdiction / "cases.yaml", jurisdiction)
]
# sub-divisions of the United States whose own, stricter law has no pack here
COVERED = {"CO", "ES", "US"}


def reference_rows():
    root = os.environ.get("REFERENCE_DATA")
    if not root:
        return [pytest.param(None, marks=pytest.mark.skip("REFERENCE_DATA is not set: no reference cases of law"))]
    rows = read_table(Path(root) / "law" / "cases.csv")
    return [
        pytest.param(row, id=row.id)
        for row in rows
        if row.case.country in COVERED
        and (row.case.country != "US" or row.case.region in ("", "US-HI") or row.case.region in BOOK.packs)
    ]


@pytest.mark.parametrize("case", CASES)
def test_every_case_beside_a_pack_holds(case):
    outcome = judge(BOOK, case)
    assert (case.expect, case.reason) == (outcome.got, outcome.reason if case.reason else "")
    assert outcome.agrees


@pytest.mark.parametrize("row", reference_rows())
def test_the_reference_cases_of_covered_jurisdictions_agree(row):
    outcome = judge(BOOK, row.case)
    assert row.case.expect == outcome.got
    assert outcome.agrees


def test_the_cases_reach_every_rule_and_every_reason():
    found = law_reports.coverage(BOOK, LAWS)
    assert ((), (), ()) == (found.failed, found.unreached_rules, found.unreached_reasons)


@pytest.mark.parametrize("pack", BOOK.packs.values(), ids=lambda pack: pack.jurisdiction)
def test_every_rule_cites_a_source_of_its_pack(pack):
    for rule in pack.rules:
        assert rule.cites, rule.id
        for cite in rule.cites:
            assert pack.source(cite.source).url.startswith("http")


def test_a_review_is_overdue_from_the_day_after_it_was_due():
    due = BOOK.packs["ES"].review_due
    assert [] == [pack.jurisdiction for pack in overdue(BOOK, date(2026, 12, 28)) if pack.review_due == due]
    assert ["ES"] == [pack.jurisdiction for pack in overdue(BOOK, date(2026, 12, 29))]


@pytest.mark.parametrize(
    ("residence", "expected"),
    [
        (("CO", "", ()), ("CO",)),
        (("US", "US-NY", ("US",)), ("US-NY",)),
        (("US", "US-FL", ()), ("US",)),
        (("US", "", ("CO",)), ("US", "CO")),
        (("", "US-NY", ()), ("US-NY",)),
        (("", "", ("CO",)), ("CO",)),
        (("", "", ()), ()),
        (("FR", "", ("CO", "FR")), ("FR", "CO")),
    ],
)
def test_residence_picks_the_pack_and_a_foreign_number_adds_its_country(residence, expected):
    assert expected == BOOK.jurisdictions_of(*residence)


def test_a_country_without_a_pack_is_shown_as_resting_on_the_default():
    assert ("_default@2026.11.0",) == BOOK.names(("FR",)) == BOOK.names(())
    assert ("US-NY@2026.11.0", "US@2026.11.0", "CO@2026.11.0") == BOOK.names(("US-NY", "CO"))


def test_lists_are_named_for_each_channel_where_the_law_keeps_them_apart():
    assert ("RNE/sms",) == BOOK.registries_for(("CO",), "sms", "marketing")
    assert () == BOOK.registries_for(("CO",), "sms", "service")
    assert ("National DNC", "RNE/phone") == BOOK.registries_for(("US-NY", "CO"), "phone", "marketing")
    assert frozenset({"phone", "sms"}) == BOOK.lists()["National DNC"]


def test_rules_remember_as_far_back_as_their_longest_window():
    week_with_clock_changes = 7
    assert week_with_clock_changes <= BOOK.longest_window.days


def test_two_countries_are_both_asked():
    rules = {rule.id for rule in BOOK.rules_for(("US", "CO"), "sms", "marketing")}
    assert {"us.hours", "co.hours", "co.cap.day", "us.dnc", "co.rne"} <= rules


def test_the_law_show_of_an_overlay_holds_the_parents_rules_too():
    found = law_reports.shown(BOOK, "US-NY", date(2026, 11, 22))
    assert ["US-NY@2026.11.0", "US@2026.11.0"] == [pack.pack for pack in found.packs]
    assert {"us-ny.hours", "us.hours"} <= {rule.rule for rule in found.rules}
    assert not next(
        rule for rule in law_reports.shown(BOOK, "CO", date(2026, 11, 22)).rules if rule.rule == "co.age"
    ).binds
