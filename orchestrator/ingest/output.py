"""Files that appear whole or not at all, and lines in the order of time without holding them all."""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from orchestrator.times import micros

# bytes of lines held before a sorted run is put on disk
RUN_BYTES = 32 * 2**20
# runs of one length that are merged into one
FAN_IN = 16
# so that instants before 1970 sort as text too
_OFFSET = 2**60
_WIDTH = 19
_SEQ = 12


class WholeFile:
    """A file written under a temporary name beside its own, and renamed when all went well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def write(self, line: bytes) -> None:
        """Adds a line; the first one makes the temporary file."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115  # closed by finish or abandon
                "wb", buffering=2**18, dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".part", delete=False
            )
        self._file.write(line)
        self._file.write(b"\n")

    def finish(self, *, keep_empty: bool) -> bool:
        """Puts the file in place, on disk before it has its name; True where it is there now.

        Without a line, and not to be kept empty, none is left there.
        """
        if self._file is None and keep_empty:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            return True
        if self._file is None:
            self.path.unlink(missing_ok=True)
            return False
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # it stays readable for its owner alone, as temporary files are: it holds personal data
        Path(self._file.name).replace(self.path)
        return True

    def abandon(self) -> None:
        """Leaves nothing behind; a file that was there before stays as it was."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)


class EventLines:
    """Takes event lines and gives them to a file: as they come, or sorted by time (then by the order they came)."""

    def __init__(self, file: WholeFile, *, by_time: bool, run_bytes: int = RUN_BYTES) -> None:
        self._file, self._by_time, self._run_bytes = file, by_time, run_bytes
        self._run: list[bytes] = []
        self._held = 0
        self._count = 0
        # sorted runs on disk; those of a level are each as long as FAN_IN of the level before
        self._levels: list[list[IO[bytes]]] = []

    def add(self, at: datetime, line: bytes) -> None:
        """One event line with its instant."""
        if not self._by_time:
            self._file.write(line)
            return
        self._run.append(b"%0*d%0*d%b\n" % (_WIDTH, micros(at) + _OFFSET, _SEQ, self._count, line))
        self._count += 1
        self._held += len(line)
        if self._held >= self._run_bytes:
            self._run.sort()
            self._spill(self._run, 0)
            self._run.clear()
            self._held = 0

    def finish(self) -> None:
        """Writes what was held back, in order."""
        self._run.sort()
        for line in heapq.merge(*(file for level in self._levels for file in level), self._run):
            self._file.write(line[_WIDTH + _SEQ : -1])
        self._run.clear()

    def _spill(self, lines: Iterable[bytes], level: int) -> None:
        """Puts a sorted run on disk; many runs of one level become one of the next, so that few files are open."""
        if level == len(self._levels):
            self._levels.append([])
        file = tempfile.TemporaryFile("w+b", buffering=2**15)  # noqa: SIM115  # closed when merged, or by __exit__
        self._levels[level].append(file)
        file.writelines(lines)
        file.seek(0)
        if len(self._levels[level]) >= FAN_IN:
            merged = self._levels[level]
            self._spill(heapq.merge(*merged), level + 1)
            self._levels[level] = []
            for each in merged:
                each.close()

    def __enter__(self) -> Self:
        """The lines themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives back the runs' files, which their closing deletes."""
        for level in self._levels:
            for file in level:
                file.close()
