"""Ending the process at once: the supervisor starts it again, and nothing half done was written.

Faust's own way out was seen to hang in "Stopping"; and whatever is wrong must not be acknowledged on the way. So a
worker that can't go on says why in one line and is gone.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import structlog

from orchestrator.errors import OrchestratorError

FAULT = 70

log = structlog.get_logger()


def die(error: BaseException, what: str) -> NoReturn:
    """Logs `what` and the error, and ends the process with the error's exit code (70 for an unexpected one).

    The text of an unexpected error is left out, since it might quote a member; its kind and place are told.
    `ORCHESTRATOR_DEBUG=1` adds the trace.
    """
    if isinstance(error, OrchestratorError):
        code, detail = error.exit_code, str(error)
    else:
        code, detail = FAULT, place_of(error)
    log.critical(what, error=type(error).__name__, detail=detail, exit=code)
    if os.environ.get("ORCHESTRATOR_DEBUG") == "1":
        sys.stderr.write("".join(traceback.format_exception(error)))
    sys.stderr.flush()
    os._exit(code)


def place_of(error: BaseException) -> str:
    """Where an error was raised: the last of our own lines, else the last line at all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}orchestrator{os.sep}" in frame.filename] or list(frames)
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
