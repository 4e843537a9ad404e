"""The rules that one kind of contact is asked, prepared once: which versions answer, and which answers are known.

Most answers rest on very little: how many places are taken, what the consent record is called. A rule tells what it
reads (`rules.Version`); where all rules together read the same before, their findings are there, with their JSON, as a
form whose blanks are the rules that must be asked: of hours, and of what ends. What is kept is bounded, and an answer
that is not kept is the same answer, made anew. Every rule stands in every trail, in its order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from orchestrator.decide.rules import (
    Finding,
    Question,
    Reading,
    Rule,
    Says,
    Version,
    edges_of,
    strictest,
    version_at,
)
from orchestrator.decide.touches import Count, Counts

# forms kept by the versions of one panel; revisions come and go within a process
MOST_FORMS = 1_000
NEVER = datetime.max.replace(tzinfo=UTC)

Judge = Callable[[Question], Finding]
_encode = msgspec.json.Encoder().encode


class Form(Struct, frozen=True):
    """What all rules say who keep their answers to what was read; the others are blanks."""

    # what it comes to without the blanks, and the binding deferrals in it
    says: Says
    waits: tuple[Finding, ...]
    # in the order of the rules; anything in a blank
    findings: list[Any]
    # the same as JSON
    written: list[Any]
    # (place, the rule to ask)
    blanks: tuple[tuple[int, Judge], ...]
    # from then on other versions answer
    until: datetime = NEVER


class Asked(Struct, frozen=True):
    """What all rules said."""

    says: Says
    # the binding deferrals
    waits: list[Finding]
    form: Form
    # in the order of the blanks
    answers: list[Finding]

    def findings(self) -> tuple[Finding, ...]:
        """The finding of every rule, in order."""
        return self._filled(self.form.findings)

    def written(self) -> tuple[Finding, ...]:
        """The same for the encoder alone: in the place of a finding that is kept stands its JSON."""
        return self._filled(self.form.written)

    def and_also(self, suppression: Finding) -> Asked:
        """The same with one more finding, that suppresses."""
        findings, written = [*self.form.findings, suppression], [*self.form.written, suppression]
        return replace(self, says="suppress", form=replace(self.form, findings=findings, written=written))

    def _filled(self, form: list[Any]) -> tuple[Finding, ...]:
        findings = form.copy()
        for i, found in enumerate(self.answers):
            findings[self.form.blanks[i][0]] = found
        return tuple(findings)


def said(finding: Finding) -> Asked:
    """What a single rule said."""
    return Asked(finding.says, [], Form(finding.says, (), [finding], [finding], ()), [])


class Stretch:
    """The versions that answer between two edges, and the forms that are known."""

    __slots__ = ("_forms", "_reads", "_until", "_versions")

    def __init__(self, versions: tuple[Version, ...], until: datetime) -> None:
        self._versions = versions
        self._until = until
        reads = dict.fromkeys(read for version in versions for read in version.reads)
        counts = Counts(read for read in reads if isinstance(read, Count))
        others = [read for read in reads if not isinstance(read, Count)]
        self._reads: tuple[Reading, ...] = (counts.read, *others)
        self._forms: dict[tuple[Hashable, ...], Form] = {}

    def __len__(self) -> int:
        """How many forms are kept."""
        return len(self._forms)

    def form(self, question: Question) -> Form:
        """The answers that are kept, and whom to ask about the rest."""
        said = tuple([read(question) for read in self._reads])
        form = self._forms.get(said)
        if form is None:
            if len(self._forms) >= MOST_FORMS:
                self._forms.clear()
            form = self._forms[said] = self._laid_out(question)
        return form

    def _laid_out(self, question: Question) -> Form:
        findings = [version.judge(question) if version.keeps(question) else None for version in self._versions]
        kept = [found for found in findings if found is not None]
        return Form(
            says=strictest(kept),
            waits=tuple(found for found in kept if found.says == "defer" and not found.advisory),
            findings=findings,
            written=[None if found is None else Raw(_encode(found)) for found in findings],
            blanks=tuple((i, version.judge) for i, version in enumerate(self._versions) if findings[i] is None),
            until=self._until,
        )


class Panel:
    """The rules of one kind of contact: jurisdictions, channel, purpose and journey; asked about no other."""

    __slots__ = ("_edges", "_rules", "_stretches")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        # between two edges the same versions answer
        self._edges = sorted({edge for rule in rules for edge in edges_of(rule)})
        self._stretches: dict[int, Stretch] = {}

    def __len__(self) -> int:
        """How many forms it keeps."""
        return sum(map(len, self._stretches.values()))

    def ask(self, question: Question) -> Asked:
        """What all rules say at `question.at`."""
        number = bisect_right(self._edges, question.at)
        stretch = self._stretches.get(number)
        if stretch is None:
            stretch = self._stretch(number, question.at)
        return _filled_in(stretch.form(question), question)

    def ask_again(self, asked: Asked, question: Question) -> Asked:
        """What they say at a later instant of the same question; kept findings may tell the earlier numbers."""
        form = asked.form
        return self.ask(question) if form.waits or question.at >= form.until else _filled_in(form, question)

    def _stretch(self, number: int, at: datetime) -> Stretch:
        until = self._edges[number] if number < len(self._edges) else NEVER
        stretch = self._stretches[number] = Stretch(tuple(version_at(rule, at) for rule in self._rules), until)
        return stretch


def _filled_in(form: Form, question: Question) -> Asked:
    says, waits, answers = form.says, [*form.waits], []
    for _, judge in form.blanks:
        found = judge(question)
        answers.append(found)
        if found.says != "pass" and not found.advisory:
            if found.says == "defer":
                waits.append(found)
            if says != "suppress":
                says = found.says
    return Asked(says, waits, form, answers)
