"""Answers that are kept are the answers, and the trail says the same whether an answer was kept or made anew."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from orchestrator.decide.consent import MembershipRule
from orchestrator.decide.findings import MOST_OF_A_RULE, Answers, keep, write_trail
from orchestrator.decide.member import Member
from orchestrator.decide.result import Trail, Tried
from orchestrator.decide.rules import Finding, Question

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def asked(status: str) -> Question:
    member = Member(id="m", ref="r", status=status)  # type: ignore[arg-type]  # a word of the vocabulary
    return Question(
        at=NOON, now=NOON, channel="email", purpose="marketing", journey="j", member=member, contact=None, zones=(),
        registries={},
    )  # fmt: skip


def finding(n: int) -> Finding:
    return Finding(rule="cap", version="1", says="defer", reason="frequency_cap", until=NOON, saw={"n": n, "max": 3})


def test_a_trail_of_kept_and_of_new_findings_is_the_json_of_the_trail() -> None:
    answers: Answers = {}
    findings = (keep(answers, 1, finding(1)), finding(2), keep(answers, 3, finding(3)))
    tried = (
        Tried(channel="email", says="defer", contact="f", release_at=NOON, findings=findings),
        Tried(channel="sms", says="suppress"),
    )
    trail = Trail(zones=("Europe/Madrid",), zone_from="profile", packs=("ES@1",), tried=tried, note="n")
    assert msgspec.json.encode(trail).decode() == write_trail(trail)
    assert trail == msgspec.json.decode(write_trail(trail), type=Trail)


def test_a_kept_answer_is_given_again() -> None:
    rule = MembershipRule(id="membership", version="1")
    assert rule.judge(asked("enrolled")) is rule.judge(asked("enrolled"))
    assert ("pass", "suppress") == (rule.judge(asked("enrolled")).says, rule.judge(asked("cancelled")).says)


def test_a_copy_of_a_rule_with_a_difference_answers_anew() -> None:
    rule = MembershipRule(id="membership", version="1")
    rule.judge(asked("enrolled"))
    assert "2" == replace(rule, version="2").judge(asked("enrolled")).version


def test_no_rule_keeps_answers_without_end() -> None:
    answers: Answers = {}
    for n in range(MOST_OF_A_RULE + 10):
        assert finding(n) == keep(answers, n, finding(n))
    assert MOST_OF_A_RULE == len(answers)
