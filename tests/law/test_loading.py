"""A wrong pack is refused with the line of each fault; a right one is compiled as it says."""

import shutil

import pytest

from orchestrator.content import law_reports, locate
from orchestrator.content.law_cases import Case, judge, moment, read_cases, read_table
from orchestrator.content.laws import load_laws
from orchestrator.errors import ContentError, UsageError

LAWS = locate.shipped("channel_policies") / "laws"
HEAD = """\
jurisdiction: {cc}
version: 2026.11.0
status: {status}
reviewed_on: 2026-11-21
review_due: 2027-05-21
timezones: [Europe/Paris]
sources:
  - {{id: law, title: A law, url: "https://example.com", kind: {kind}, seen: 2026-11-21, lang: en}}
rules:
"""


@pytest.fixture
def laws(tmp_path):
    """A folder with the default pack, and a way to put a pack beside it."""
    shutil.copytree(LAWS / "_default", tmp_path / "_default")

    def put(rules, cc="FR", status="reviewed", kind="secondary", head=HEAD):
        (tmp_path / cc).mkdir(exist_ok=True)
        text = head.format(cc=cc, status=status, kind=kind) + "".join(
            f"  - {{{rule}, cites: [{{source: law, at: art. 1}}], effective: {{from: 2020-01-01}}}}\n" for rule in rules
        )
        (tmp_path / cc / "pack.yaml").write_text(text)
        return tmp_path

    return put


def refused(folder):
    with pytest.raises(ContentError) as error:
        load_laws(folder)
    return [(problem.line, problem.what) for problem in error.value.problems]


def verdict(book, consent="none", channel="email", country="FR", **given):
    case = Case(
        case="a case",
        at="2026-11-24T11:00:00+01:00[Europe/Paris]",
        channel=channel,
        purpose="marketing",
        country=country,
        consent=consent,
        expect="send",
        **given,
    )
    return judge(book, case)


RULE = "kind: consent, id: fr.consent, authority: statute, confidence: {confidence}, model: {model}"
PLANTED = """\
jurisdiction: XX
version: 2026.11.0
status: reviewed
reviewed_on: 2026-11-21
review_due: 2026-11-20
timezones: [Europe/Pariss]
sources:
  - {id: law, title: A law, url: "https://example.com", kind: secondary, seen: 2026-11-21, lang: en}
rules:
  - id: xx.hours
    kind: hours
    authority: statute
    applies: {channels: [sms], purposes: [marketing], unless: nice_weather}
    week:
      mon-fri: ["09:00-08:00"]
      sat: []
      holiday: []
    cites: [{source: low, at: art. 1}]
    confidence: conflicting
    effective: {from: 2023-10-10, to: 2023-10-10}
  - id: xx.cap
    kind: cap
    authority: statute
    per: fortnight
    cites: [{source: law, at: art. 2}]
    confidence: established
    effective: {from: 2023-10-10}
"""


def test_a_planted_bad_pack_is_told_line_by_line(laws):
    folder = laws([RULE.format(confidence="established", model="opt_in")])
    (folder / "XX").mkdir()
    (folder / "XX" / "pack.yaml").write_text(PLANTED)
    found = refused(folder)
    assert [
        (5, "the review is due before it was done"),
        (6, "`Europe/Pariss` is no IANA zone"),
        (18, "`low` is none of the sources"),
        (10, "xx.hours: conflicting, but no other reading is given"),
        (20, "xx.hours: ends before it begins"),
        (10, "`nice_weather` is no exception we know"),
        (15, "`09:00-08:00` is out of order, or beyond 24:00"),
        (14, "sun: not told"),
        (17, "a holiday entry without a calendar"),
        (21, "xx.cap: give `max` or `max_distinct_channels`"),
        (24, "`fortnight` is no stretch such as calendar_day, week, rolling_24h or 7_consecutive_days"),
    ] == found


def test_unknown_words_are_refused_by_name_with_their_line(laws):
    folder = laws(["kind: consent, id: fr.consent, authority: statut, confidence: established, model: opt_in"])
    assert [(10, "`authority`: `statut` is not known here")] == refused(folder)


def test_a_rule_of_no_known_kind_is_refused(laws):
    (line, what), *more = refused(laws(["kind: curfew, id: fr.x, authority: statute, confidence: established"]))
    assert (10, []) == (line, more)
    assert "curfew" in what


def test_a_rule_without_a_source_is_refused(laws, tmp_path):
    folder = laws([RULE.format(confidence="established", model="opt_in")])
    path = tmp_path / "FR" / "pack.yaml"
    path.write_text(path.read_text().replace("cites: [{source: law, at: art. 1}]", "cites: []"))
    assert [10] == [line for line, _ in refused(folder)]


def test_a_folder_must_be_named_after_its_jurisdiction(laws, tmp_path):
    folder = laws([RULE.format(confidence="established", model="opt_in")])
    (tmp_path / "FR").rename(tmp_path / "DE")
    assert [(1, "jurisdiction is `FR`, the folder is `DE`")] == refused(folder)


def test_without_a_default_pack_there_is_no_law_book(tmp_path):
    assert [(1, "there is no default pack")] == refused(tmp_path)


def test_two_versions_of_a_rule_may_not_hold_on_the_same_day(laws):
    rule = RULE.format(confidence="established", model="opt_in")
    assert [(11, "`fr.consent`: two versions hold on the same day")] == refused(laws([rule, rule]))


def test_an_overlay_is_refused_to_loosen_without_a_primary_source(laws):
    override = "kind: consent, id: fr-x.consent, authority: statute, confidence: established, model: opt_out"
    override += ", override: {rule: fr.consent, why: the region says so, cites: [{source: law, at: art. 2}]}"
    laws([RULE.format(confidence="established", model="opt_in")])
    folder = laws([override], cc="FR-X", head=HEAD.replace("version:", "extends: FR\nversion:"))
    assert [(11, "fr-x.consent: loosens a parent's rule without a primary source")] == refused(folder)


def test_an_overlay_with_a_primary_source_replaces_the_parents_rule(laws):
    override = "kind: consent, id: fr-x.consent, authority: statute, confidence: established, model: opt_out"
    override += ", override: {rule: fr.consent, why: the region says so, cites: [{source: law, at: art. 2}]}"
    laws([RULE.format(confidence="established", model="opt_in")])
    folder = laws([override], cc="FR-X", kind="primary", head=HEAD.replace("version:", "extends: FR\nversion:"))
    book = load_laws(folder)
    assert "suppress" == verdict(book).got
    assert "send" == verdict(book, region="FR-X").got


@pytest.mark.parametrize("model", ["none", "opt_out", "soft_opt_in"])
def test_an_unverified_rule_never_allows_what_the_default_does_not(laws, model):
    book = load_laws(laws([RULE.format(confidence="unverified", model=model)]))
    consent = "soft_opt_in" if model == "soft_opt_in" else "none"
    outcome = verdict(book, consent)
    assert "suppress" == outcome.got
    assert {"default.consent"} == {finding.rule for finding in outcome.tried.findings if finding.says == "suppress"}


def test_the_same_rule_once_verified_allows(laws):
    assert "send" == verdict(load_laws(laws([RULE.format(confidence="established", model="opt_out")]))).got


def test_where_review_is_required_a_draft_only_tightens(laws):
    folder = laws([RULE.format(confidence="established", model="opt_out")], status="draft")
    assert "send" == verdict(load_laws(folder)).got
    assert "suppress" == verdict(load_laws(folder, require_reviewed=True)).got


def test_a_retired_pack_leaves_the_default(laws):
    book = load_laws(laws([RULE.format(confidence="established", model="opt_out")], status="retired"))
    assert ("_default@2026.11.0",) == book.names(("FR",))
    assert "suppress" == verdict(book).got


def test_before_a_consent_rule_began_the_default_answers(laws):
    book = load_laws(laws([RULE.format(confidence="established", model="opt_out")]))
    early = Case(
        case="a case",
        at="2019-12-31T23:59:00+01:00[Europe/Paris]",
        channel="email",
        purpose="marketing",
        country="FR",
        expect="suppress",
        reason="no_consent",
    )
    assert judge(book, early).agrees


def test_a_condition_of_a_soft_opt_in_that_nobody_can_check_is_refused_with_the_likely_one(laws):
    rule = RULE.format(confidence="established", model="soft_opt_in") + ", conditions: [{}]"
    assert [(10, "`own_products` is no condition we know")] == refused(laws([rule.format("own_products")]))
    # of another model it is what the law book tells
    told = RULE.format(confidence="established", model="opt_in") + ", conditions: [written]"
    assert "send" == verdict(load_laws(laws([told])), "opt_in").got


def test_each_condition_stands_in_the_trail_with_what_it_rests_on(laws):
    rule = RULE.format(confidence="established", model="soft_opt_in")
    rule += ", conditions: [prior_contract, objection_offered, objection_offered_each_time]"
    book = load_laws(laws([rule]))
    given = {"consent": "soft_opt_in", "attests": (), "last_purchase": "2026-11-01"}
    outcome = verdict(book, **given)
    (found,) = [finding for finding in outcome.tried.findings if finding.says != "pass"]
    assert ("consent_condition", "a purchase on record", False, "the texts") == (
        found.reason,
        *(found.saw[f"if {name}"] for name in ("prior_contract", "objection_offered", "objection_offered_each_time")),
    )
    assert "send" == verdict(book, **{**given, "attests": ("objection_offered",)}).got
    # a call can't offer anything in writing
    assert "consent_condition" == verdict(book, channel="phone", **{**given, "attests": ("objection_offered",)}).reason


def test_a_separate_consent_needs_a_wording_of_its_own(laws):
    book = load_laws(laws([RULE.format(confidence="established", model="opt_in_separate")]))
    shared = ({"channel": "sms", "purpose": "marketing", "state": "granted", "wording": "terms-1"},)
    words = judge_words(shared)
    assert "consent_basis" == verdict(book, "opt_in", wording="terms-1", words=words).reason
    assert "no_consent" == verdict(book, "opt_in", wording="").reason
    assert "send" == verdict(book, "opt_in", wording="email-1", words=words).got


def judge_words(words):
    from orchestrator.content.law_cases import Word

    return tuple(Word(**word) for word in words)


def test_a_conflicting_rule_says_both_readings_in_its_finding():
    outcome = verdict(load_laws(LAWS), "opt_in", channel="sms", country="CO")
    saw = next(finding.saw for finding in outcome.tried.findings if finding.rule == "co.cap.day")
    assert "conflicting" == saw["confidence"]
    assert "binds advertising too, and every message that went out is a contact" == saw["reading"]
    assert "collection agents only" in str(saw["alt"])


def test_the_difference_between_two_packs_names_days_and_contacts(tmp_path):
    shutil.copytree(LAWS / "CO", tmp_path / "CO")
    path = tmp_path / "CO" / "pack.yaml"
    path.write_text(
        path.read_text().replace('sat: ["08:00-15:00"]', 'sat: ["08:00-14:00"]').replace("max_age: P5D", "max_age: P1D")
    )
    found = law_reports.compare(law_reports.pack_at(LAWS, "CO"), law_reports.pack_at(tmp_path, "CO"))
    assert [("co.hours", "week"), ("co.rne", "max_age")] == [(change.rule, change.what) for change in found.changes]
    assert ("P5D", "P1D", "2024-04-10") == (
        found.changes[1].before,
        found.changes[1].after,
        str(found.changes[1].since),
    )
    assert "email, phone, push, sms, telegram, whatsapp / collections, marketing" == found.changes[0].area


def test_a_pack_compared_with_itself_differs_in_nothing():
    assert () == law_reports.compare(law_reports.pack_at(LAWS, "US"), law_reports.pack_at(LAWS, "US")).changes


def test_a_name_that_is_no_pack_is_wrong_use():
    with pytest.raises(UsageError, match="neither a jurisdiction"):
        law_reports.pack_at(LAWS, "ZZ")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T07:59:00-05:00",
        "2026-11-24T07:59:00-04:00[America/Bogota]",
        "2026-11-24T07:59:00[America/Bogota]",
        "2026-11-24T07:59:00-05:00[America/Bogotá]",
    ],
)
def test_a_moment_needs_an_offset_that_its_zone_has(text):
    with pytest.raises(ValueError, match=r"moment|offset|zone"):
        moment(text)


def test_a_case_that_can_not_be_read_is_told_with_its_line(tmp_path):
    path = tmp_path / "cases.yaml"
    path.write_text(
        "# a case\n- case: late\n  at: 2026-11-24T07:59:00-04:00[America/Bogota]\n"
        "  channel: sms\n  purpose: marketing\n  expect: send\n"
    )
    with pytest.raises(ContentError) as error:
        read_cases(path, "CO")
    assert [2] == [problem.line for problem in error.value.problems]


HEADER = (
    "id,jurisdiction,subdivision,local_datetime,channel,category,"
    "consent_state,consent_detail,prior_contacts,registry_listed,expected,earliest_allowed_local,profile\n"
)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("A,CO,,2026-11-24T10:00:00-05:00[America/Bogota],fax,marketing,none,,,n,suppress,,statute", "channel"),
        ("A,CO,,2026-11-24T10:00:00-05:00[America/Bogota],sms,marketing,maybe,,,n,suppress,,statute", "consent_state"),
        (
            "A,CO,,2026-11-24T10:00:00-05:00[America/Bogota],sms,marketing,none,,2 sms: 2026-11-24T09:00,n,defer,,",
            "lists 1",
        ),
        (
            "A,CO,,2026-11-24T10:00:00-05:00[America/Bogota],sms,marketing,none,,,perhaps,suppress,,statute",
            "registry_listed",
        ),
        ("A,CO,,yesterday,sms,marketing,none,,,n,suppress,,statute", "moment"),
    ],
)
def test_a_row_that_can_not_be_read_is_told_with_its_line(tmp_path, row, said):
    path = tmp_path / "cases.csv"
    path.write_text(HEADER + row + "\n")
    with pytest.raises(ContentError) as error:
        read_table(path)
    assert [2] == [problem.line for problem in error.value.problems]
    assert said in str(error.value)
