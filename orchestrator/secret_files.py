"""Files that hold a key: whole or not there, on disk, and for their owner's eyes alone."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from orchestrator.errors import SetupError


def put(path: Path, body: bytes, *, new: bool) -> None:
    """Writes the whole file or nothing, readable by its owner alone, and on disk when this returns.

    `new`: raises FileExistsError where something is there, which stays as it was; else it is replaced.
    """
    # mkstemp makes it 0600 from its first byte on
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if new:
            # unlike a rename, a link refuses to replace what is there
            Path(path).hardlink_to(name)
        else:
            Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def refuse_open(path: Path, mode: int) -> None:
    """Raises SetupError, with the cure, where others than the owner can read a file of this mode."""
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise SetupError(f"{path} can be read by others; cure: chmod 600 {path}")
