"""Work on templates that someone has just written, in a child process with limits on time and memory.

The sandbox counts steps and characters; this is the last net below it, for what nobody has thought of. The child gets
no environment and no arguments but the request on its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.content.disclosures import OPT_OUT, Disclosure
from orchestrator.content.event_types import read_event_types
from orchestrator.content.lint import Found, LintReport, lint
from orchestrator.content.preview import Preview, preview
from orchestrator.decide.content import Identity
from orchestrator.errors import ContentError, OrchestratorError, Problem, UsageError
from orchestrator.events.catalogue import ENGINE, EventTypes

CPU_S = 30
WALL_S = 120
MEMORY_BYTES = 2 * 1024**3


class LintRequest(Struct, frozen=True, kw_only=True, tag="lint"):
    """The arguments of `lint`."""

    folder: str
    default_locale: str
    identity: Identity
    journey: str = ""
    disclosures: tuple[Disclosure, ...] = (OPT_OUT,)
    # where the project's own event types are declared; "": it has none
    schemas: str = ""

    def answer(self) -> LintReport:
        """Does it, in this process."""
        types, problems = _types(self.schemas)
        report = lint(Path(self.folder), self.default_locale, self.identity, self.journey, self.disclosures, types)
        return replace(report, problems=(*map(Found.of, problems), *report.problems))


class PreviewRequest(Struct, frozen=True, kw_only=True, tag="preview"):
    """The arguments of `preview`."""

    folder: str
    default_locale: str
    identity: Identity
    journey: str
    message: str
    channel: str = "email"
    locale: str = ""
    case: str = ""
    # where the project's own event types are declared; "": it has none
    schemas: str = ""

    def answer(self) -> Preview:
        """Does it, in this process."""
        types, problems = _types(self.schemas)
        if problems:
            raise ContentError(problems)
        return preview(
            Path(self.folder), self.default_locale, self.identity, self.journey, self.message, self.channel,
            self.locale, self.case, types,
        )  # fmt: skip


def _types(schemas: str) -> tuple[EventTypes, list[Problem]]:
    return read_event_types(Path(schemas)) if schemas else (ENGINE, [])


class _Failed(Struct, frozen=True, kw_only=True):
    kind: Literal["content", "usage"]
    problems: tuple[Found, ...] = ()
    text: str = ""


class _Answer(Struct, frozen=True, kw_only=True):
    """What the child writes: one of the three."""

    report: LintReport | None = None
    preview: Preview | None = None
    failed: _Failed | None = None


def confined_lint(request: LintRequest, *, cpu_s: int = CPU_S, memory_bytes: int = MEMORY_BYTES) -> LintReport:
    """As `lint`; raises ContentError also where the child used up its time or memory."""
    answer = _ask(request, cpu_s, memory_bytes)
    if answer.report is None:
        raise OrchestratorError("the confined process gave no report")
    return answer.report


def confined_preview(request: PreviewRequest, *, cpu_s: int = CPU_S, memory_bytes: int = MEMORY_BYTES) -> Preview:
    """As `preview`; raises ContentError also where the child used up its time or memory."""
    answer = _ask(request, cpu_s, memory_bytes)
    if answer.preview is None:
        raise OrchestratorError("the confined process gave no preview")
    return answer.preview


def _ask(request: LintRequest | PreviewRequest, cpu_s: int, memory_bytes: int) -> _Answer:
    command = [sys.executable, "-I", "-m", "orchestrator.content.confine", str(cpu_s), str(memory_bytes)]
    try:
        child = subprocess.run(  # noqa: S603  # our own interpreter and module, no shell, the request goes by stdin
            command, input=msgspec.json.encode(request), capture_output=True, timeout=WALL_S, check=False, env={}
        )
    except subprocess.TimeoutExpired:
        raise _used_up(request, f"more than {WALL_S} s") from None
    if child.returncode != 0:
        raise _used_up(request, f"more than {cpu_s} s of processor time or {memory_bytes // 1024**2} MiB of memory")
    answer = msgspec.json.decode(child.stdout, type=_Answer)
    if answer.failed is not None:
        if answer.failed.kind == "usage":
            raise UsageError(answer.failed.text)
        raise ContentError([found.problem() for found in answer.failed.problems])
    return answer


def _used_up(request: LintRequest | PreviewRequest, what: str) -> ContentError:
    place = f"{request.folder}/{request.journey}".rstrip("/")
    return ContentError([Problem(place, 1, f"rendering was stopped: it needs {what}", "shorten loops and texts")])


def _child(cpu_s: int, memory_bytes: int) -> None:
    import resource  # only the child limits itself, and only POSIX has it

    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=LintRequest | PreviewRequest)
    try:
        result = request.answer()
        answer = _Answer(report=result) if isinstance(result, LintReport) else _Answer(preview=result)
    except ContentError as error:
        answer = _Answer(failed=_Failed(kind="content", problems=tuple(map(Found.of, error.problems))))
    except UsageError as error:
        answer = _Answer(failed=_Failed(kind="usage", text=str(error)))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    _child(int(sys.argv[1]), int(sys.argv[2]))
