"""Where events come from in the embedded engine: files of CloudEvents JSON Lines (plain or gzip), standard input.

A file is known by its content, not its name: the SHA-256 of its first `length` bytes and how far each partition has
read it. The same file again starts where it ended; a file that has grown since goes on at its new lines.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple

from orchestrator.errors import UsageError
from orchestrator.events.envelope import Event
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Arrival
from orchestrator.stores.contract import FilePosition

_CHUNK = 1 << 20
# a line longer than this is no event: it is handed on cut short, and becomes a dead letter
MAX_LINE = 1 << 20

# (raw bytes, file, length, byte after it) -> Arrival
MakeArrival = Callable[[bytes, bytes, int, int], Arrival]


class Delivery(NamedTuple):
    """An arrival with the partition it belongs to."""

    partition: int
    arrival: Arrival


class Known(NamedTuple):
    """A file's content, and what of it was consumed before."""

    content: bytes
    length: int
    # every partition is beyond this byte
    low_water: int
    # partition -> byte it is beyond
    partitions: dict[int, int]

    def positions(self) -> list[FilePosition]:
        """The rows that say so, under this content's name."""
        rows = [FilePosition(self.content, self.length, -1, self.low_water)]
        return rows + [FilePosition(self.content, self.length, p, byte) for p, byte in self.partitions.items()]


def opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """The file's bytes, unpacked where its name ends in .gz."""
    try:
        return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file of CloudEvents, one JSON object a line") from None


def recognise(path: Path, positions: Iterable[FilePosition]) -> Known:
    """The file's content, with how far its longest known beginning was consumed."""
    rows = list(positions)
    lengths = sorted({row.length for row in rows})
    digest, read, known = hashlib.sha256(), 0, b""
    with opened(path) as file:
        for length in [*lengths, None]:
            while length is None or read < length:
                chunk = file.read(_CHUNK if length is None else min(_CHUNK, length - read))
                if not chunk:
                    break
                digest.update(chunk)
                read += len(chunk)
            if length is not None and read == length:
                so_far = digest.digest()
                known = so_far if any(row.content == so_far for row in rows) else known
    mine = [row for row in rows if row.content == known]
    low_water = max((row.byte for row in mine if row.partition < 0), default=0)
    partitions = {row.partition: row.byte for row in mine if row.partition >= 0 and row.byte > low_water}
    return Known(digest.digest(), read, low_water, partitions)


def read_file(path: Path, known: Known, make: MakeArrival, partitions: int) -> Iterator[Delivery]:
    """The file's events that were not consumed before, in order."""
    byte = 0
    with opened(path) as file:
        while raw := file.readline(MAX_LINE):
            byte += len(raw)
            while not raw.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
                byte += len(rest)
                if rest.endswith(b"\n"):
                    break
            if byte <= known.low_water or not (line := raw.strip()):
                continue
            arrival = make(line, known.content, known.length, byte)
            partition = partition_for(arrival, partitions)
            if byte > known.partitions.get(partition, 0):
                yield Delivery(partition, arrival)


def read_stream(stream: IO[bytes], make: MakeArrival, partitions: int) -> Iterator[Delivery]:
    """The events of a stream that can't be read again, such as standard input."""
    for raw in stream:
        if line := raw.strip():
            arrival = make(line, b"", 0, 0)
            yield Delivery(partition_for(arrival, partitions), arrival)


def merged(sources: list[Iterator[Delivery]]) -> Iterator[Delivery]:
    """Several sources as one, in time order where each is in time order."""
    if len(sources) == 1:
        return sources[0]
    return heapq.merge(*sources, key=lambda delivery: delivery.arrival.at)


def partition_for(arrival: Arrival, partitions: int) -> int:
    """The member's partition; unreadable bytes, which name nobody, go to partition 0."""
    if isinstance(arrival.event, Event):
        return partition_of(arrival.event.subject, partitions)
    return 0
