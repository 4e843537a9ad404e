"""Errors, sorted by what the reader does next.

    OrchestratorError
    ├── ContentError      fix the marketer's file: names file, line, cure          exit 3
    ├── SetupError        fix the set-up: names the exact command or setting       exit 3
    ├── UsageError        wrong use of a command                                   exit 2
    ├── Unreadable        this input goes to dead letters, with reason and cure
    ├── Refused           another worker owns the partition: drop the batch
    ├── Interrupted       the way to the store was lost: read progress again before anything is retried
    └── Tampered          the record does not verify                               exit 1

ContentError and SetupError are raised at start or activation and are never caught by a retry loop.
A refusal by a rule is no error: it is a decision with reasons.
"""

from __future__ import annotations


class OrchestratorError(Exception):
    """The root of all our errors; its text is fit for a person and holds no personal data."""

    exit_code = 70


class Problem:
    """One thing wrong in one file: where, what was expected, and what would cure it."""

    __slots__ = ("column", "cure", "file", "line", "what")

    def __init__(self, file: str, line: int, what: str, cure: str = "", column: int = 0) -> None:
        self.file, self.line, self.what, self.cure, self.column = file, line, what, cure, column

    @property
    def place(self) -> str:
        """File, line and column as editors jump there; without the column where it is not known."""
        return f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" + (f" ({self.cure})" if self.cure else "")

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"


class ContentError(OrchestratorError):
    """One or more files of templates, policies, laws or schemas are wrong; all problems are listed at once."""

    exit_code = 3

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))

    @property
    def briefly(self) -> str:
        """The first few problems on one line, without their cures: for a process's log."""
        return "; ".join(f"{problem.place}: {problem.what}" for problem in self.problems[:5])


class SetupError(OrchestratorError):
    """The project, its settings, keys or store are not ready; the text says which command or setting cures it."""

    exit_code = 3


class UsageError(OrchestratorError):
    """A command was called in a way it can't serve."""

    exit_code = 2


class Unreadable(OrchestratorError):
    """An input that can't be applied: it becomes a dead letter with this reason code and cure."""

    def __init__(self, reason: str, cure: str) -> None:
        self.reason, self.cure = reason, cure
        super().__init__(f"{reason}: {cure}")


class Refused(OrchestratorError):
    """The store refused a batch: the partition's epoch, offset or turn is no longer what this worker took."""


class Interrupted(OrchestratorError):
    """The way to the store was lost in mid-work: all of it was written, or nothing.

    Read progress again before anything is retried: the commit may have happened. Raised for a batch; for other calls
    only where their waiting was ended.
    """


class Tampered(OrchestratorError):
    """A contact log, checkpoint or bundle does not verify; the text names the first entry at fault."""

    exit_code = 1
