"""From an error to what the caller sees: a message on standard error and an exit code.

    0 done   1 checked and found wanting   2 wrong use   3 content or set-up error   70 a fault of ours

An unexpected error shows its kind and place only: its text might quote an address or a name. `ORCHESTRATOR_DEBUG=1`
adds the trace, without local variables.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from orchestrator.errors import ContentError, OrchestratorError, Refused, SetupError, Tampered, Unreadable, UsageError

FAULT = 70
INTERRUPTED = 130
# what a shell reports where the reader of a pipe went away
READER_GONE = 141

KINDS: dict[type[OrchestratorError], str] = {
    ContentError: "content",
    SetupError: "setup",
    UsageError: "usage",
    Unreadable: "unreadable",
    Refused: "refused",
    Tampered: "tampered",
}


def report(error: BaseException, *, as_json: bool) -> int:
    """Shows an error on standard error and returns the exit code."""
    if isinstance(error, typer.Abort):
        _show({"kind": "interrupted", "message": "Ended without doing it."}, INTERRUPTED, as_json=as_json)
        return INTERRUPTED
    if isinstance(error, OrchestratorError):
        _show(_expected(error), error.exit_code, as_json=as_json)
        code = error.exit_code
    elif isinstance(error, typer.TyperException):
        _usage(error, as_json=as_json)
        code = error.exit_code
    else:
        _show(_unexpected(error), FAULT, as_json=as_json)
        code = FAULT
    if os.environ.get("ORCHESTRATOR_DEBUG") == "1":
        sys.stderr.write("".join(traceback.format_exception(error)))
    return code


def quietly_without_reader() -> int:
    """The exit code where the reader of our output went away (`… | head`); keeps Python quiet about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE


def _expected(error: OrchestratorError) -> dict[str, Any]:
    kind = next((KINDS[parent] for parent in type(error).__mro__ if parent in KINDS), "fault")
    described: dict[str, Any] = {"kind": kind, "message": str(error)}
    if isinstance(error, ContentError):
        described["problems"] = [
            {"file": p.file, "line": p.line, "column": p.column, "what": p.what, "cure": p.cure} for p in error.problems
        ]
    return described


def _unexpected(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}orchestrator{os.sep}" in frame.filename] or list(frames)
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return {
        "kind": "fault",
        "message": f"This is a fault of the orchestrator: {type(error).__name__}{place}.",
        "hint": "Run it again with ORCHESTRATOR_DEBUG=1 to see the trace, and report that.",
    }


def _usage(error: typer.TyperException, *, as_json: bool) -> None:
    if as_json:
        _show({"kind": "usage", "message": error.format_message()}, error.exit_code, as_json=True)
        return
    from typer import rich_utils

    rich_utils.rich_format_error(error)  # type: ignore[arg-type]  # its parameter is annotated with a private subclass


def _show(described: dict[str, Any], code: int, *, as_json: bool) -> None:
    if as_json:
        sys.stderr.write(msgspec.json.encode({"error": {**described, "exit": code}}).decode() + "\n")
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text(described["message"], style="red"))
    if hint := described.get("hint"):
        console.print(Text(hint))
