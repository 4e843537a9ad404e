"""Findings that are the same for many questions, made once and encoded once.

Most answers depend on very little: how many places are taken, what the consent record is called. A rule keeps such an
answer under what it depends on and gives it again; the trail then takes its JSON as it stands. What is kept is bounded,
and an answer that is not kept is the same answer, made anew.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import force_setattr, replace

from orchestrator.decide.result import Trail, Tried
from orchestrator.decide.rules import Finding

# answers kept by one rule, and in all; revisions come and go within a process
MOST_OF_A_RULE = 512
MOST = 50_000

Answers = dict[Hashable, Finding]
# the numbers of a finding, while they are gathered
Saw = dict[str, str | int | bool | None]

_encoder = msgspec.json.Encoder()
# id -> JSON of a finding that is kept; `_kept` holds it for good, so that its id stays its own
_encoded: dict[int, Raw] = {}
_kept: list[Finding] = []


class Answering(Struct, frozen=True, kw_only=True):
    """A rule that keeps answers. One that is copied with a difference starts anew."""

    # answers given before, by what they depend on
    answers: Answers = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A copy shares nothing."""
        force_setattr(self, "answers", {})


def keep(answers: Answers, key: Hashable, finding: Finding) -> Finding:
    """Keeps a finding under what it depends on, and gives it back."""
    if len(answers) < MOST_OF_A_RULE and len(_encoded) < MOST:
        answers[key] = finding
        _kept.append(finding)
        _encoded[id(finding)] = Raw(_encoder.encode(finding))
    return finding


def write_trail(trail: Trail) -> str:
    """The JSON of a trail, as the log keeps it."""
    tried = tuple([_written(each) for each in trail.tried])
    return _encoder.encode(replace(trail, tried=tried)).decode()


def _written(tried: Tried) -> Tried:
    """The same, with the JSON of each finding that is kept in the finding's place: for the encoder alone."""
    known = _encoded.get
    findings: list[Any] = [known(id(each), each) for each in tried.findings]
    return replace(tried, findings=tuple(findings))
