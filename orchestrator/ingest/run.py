"""Whole files through a mapping: `ingest` reads rows, writes events and the report of refused rows.

Nothing here depends on the clock or on chance: the same files and mapping give the same bytes. Both outputs appear
whole or not at all, so a run that was cut short is simply run again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from orchestrator.errors import UsageError
from orchestrator.events.envelope import identity, write_event
from orchestrator.ingest.build import Builder, Made, Values, key_text
from orchestrator.ingest.clocks import LocalClock
from orchestrator.ingest.columns import reader
from orchestrator.ingest.load import LoadedMapping
from orchestrator.ingest.output import RUN_BYTES, EventLines, WholeFile
from orchestrator.ingest.refusal import Refusal, RowRefused
from orchestrator.ingest.rows import Row, opened, rows
from orchestrator.ingest.seen import IN_MEMORY, Seen, digest

# bytes of the files read so far, all together
Progress = Callable[[int], None]
_PROGRESS_ROWS = 2_000
_CHUNK = 2**20


class IngestReport(Struct, frozen=True, kw_only=True):
    """What became of the rows: rows = taken + refused + duplicates."""

    rows: int
    events: int
    refused: int
    # rows that say again what a row before them said, and events likewise
    duplicates: int
    # where the events are
    output: str
    # where the refused rows are listed; "" where there are none
    refusals: str
    files: tuple[str, ...]
    mapping: str
    # events by type; refused rows by reason; values made null by column and reason
    by_type: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    cured: dict[str, int] = field(default_factory=dict)


def output_path(folder: Path, files: Sequence[Path], loaded: LoadedMapping, *, history: bool) -> Path:
    """`<stem>-<hash8>.jsonl` in a folder; the hash is of all that the output depends on, so a repeat has the same name.

    Raises UsageError where a file can't be read.
    """
    hashed = hashlib.sha256(loaded.digest + (b"history" if history else b"live"))
    for path in files:
        hashed.update(_file_digest(path))
    stem = files[0].name.removesuffix(".gz").rsplit(".", 1)[0]
    more = f"-and-{len(files) - 1}-more" if len(files) > 1 else ""
    return folder / f"{stem}{more}-{hashed.hexdigest()[:8]}.jsonl"


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or 'can not be read'}") from None


def ingest(
    files: Sequence[Path],
    loaded: LoadedMapping,
    into: Path,
    *,
    history: bool = False,
    progress: Progress = lambda _read: None,
    in_memory: int = IN_MEMORY,
    run_bytes: int = RUN_BYTES,
) -> IngestReport:
    """Turns files into the CloudEvents JSON Lines file `into`, and `<into's stem>.refused.jsonl` beside it.

    With `history` each event is marked as history. `in_memory` (entries) and `run_bytes` bound what is held at once.
    Raises UsageError where a file is absent, damaged or lacks a column of the mapping; then nothing is written.
    """
    if not files:
        raise UsageError("name at least one file")
    if any(path.resolve() == into.resolve() for path in files):
        raise UsageError(f"{into} is one of the files to read; name another with --into")
    events, refusals = WholeFile(into), WholeFile(into.with_name(f"{into.stem}.refused.jsonl"))
    by_time = loaded.mapping.order == "time"
    try:
        with Seen(in_memory) as seen, EventLines(events, by_time=by_time, run_bytes=run_bytes) as lines:
            run = _Run(loaded, history, seen, lines, refusals)
            done = 0
            for path in files:
                done = run.file(path, done, progress)
            lines.finish()
        events.finish(keep_empty=True)
        listed = refusals.finish(keep_empty=False)
    finally:
        events.abandon()
        refusals.abandon()
    return IngestReport(
        rows=run.count,
        events=sum(run.by_type.values()),
        refused=sum(run.reasons.values()),
        duplicates=run.duplicates,
        output=str(into),
        refusals=str(refusals.path) if listed else "",
        files=tuple(str(path) for path in files),
        mapping=loaded.file,
        by_type=dict(sorted(run.by_type.items())),
        reasons=dict(sorted(run.reasons.items())),
        cured=dict(sorted(run.cured.items())),
    )


class _Run:
    """One run over some files: what was seen, counted and written so far."""

    def __init__(
        self, loaded: LoadedMapping, history: bool, seen: Seen, lines: EventLines, refusals: WholeFile
    ) -> None:
        self.mapping = mapping = loaded.mapping
        self.seen, self.lines, self.refusals = seen, lines, refusals
        self.count = self.duplicates = 0
        self.by_type: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.cured: Counter[str] = Counter()
        self.names = tuple(mapping.columns)
        clock = LocalClock(ZoneInfo(mapping.zone), mapping.repeated_hour, mapping.skipped_hour)
        self.readers = [
            reader(
                name,
                column,
                LocalClock(ZoneInfo(column.zone), clock.repeated_hour, clock.skipped_hour) if column.zone else clock,
                self.cured,
            )
            for name, column in mapping.columns.items()
        ]
        self.builder = Builder(mapping, clock, history, loaded.types)
        self.encode = msgspec.msgpack.Encoder().encode

    def file(self, path: Path, before: int, progress: Progress) -> int:
        """Takes one file; the bytes read so far, all files together."""
        with opened(path) as (file, position):
            for row in rows(file, path.name, self.mapping):
                self.count += 1
                try:
                    if row.refused is not None:
                        raise row.refused
                    self._take(row)
                except RowRefused as refused:
                    self._refuse(path.name, row, refused)
                if row.number % _PROGRESS_ROWS == 0:
                    progress(before + position())
            before += position()
            progress(before)
        return before

    def _take(self, row: Row) -> None:
        values: Values = {
            name: read(cell) for name, read, cell in zip(self.names, self.readers, row.cells, strict=True)
        }
        packed = self._packed(values)
        key = [values[name] for name in self.mapping.key]
        if None in key:
            raise RowRefused(", ".join(self.mapping.key), "no_key", "give a value to each column of the key")
        row_id = digest(b"row", self.encode(key))
        row_note = digest(b"content", packed)
        if (known := self.seen.get(row_id)) is not None:
            if known != row_note:
                cure = "a row before it has the same key and says something else; keep one of them"
                raise RowRefused(", ".join(self.mapping.key), "conflict", cure)
            self.duplicates += 1
            return
        made = self.builder.events(values, key_text(key), self._seen_once)
        written = [pair for one in made if (pair := self._line(one)) is not None]
        # all of the row holds: only now is it remembered and written
        self.seen.add(row_id, row_note)
        for one, line in written:
            self._keep(one, line)

    def _packed(self, values: Values) -> bytes:
        try:
            return self.encode(list(values.values()))
        except UnicodeEncodeError:
            bad = next(name for name, value in values.items() if isinstance(value, str) and not _is_unicode(value))
            cure = f"its bytes are no {self.mapping.encoding}; save the file as that, or name its encoding"
            raise RowRefused(bad, "bad_encoding", cure) from None

    def _line(self, one: Made) -> tuple[Made, bytes] | None:
        """The event's bytes; None where the very same event was written before."""
        try:
            line = write_event(one.event)
        except (OverflowError, UnicodeEncodeError, msgspec.MsgspecError):
            raise RowRefused(one.event.type, "bad_data", "a value in it can't be written as JSON") from None
        if one.own_id and (known := self.seen.get(identity(one.event.source, one.event.id))) is not None:
            if known != digest(b"event", line):
                cure = "a row before it gives the same event id with other content; make the id unique"
                raise RowRefused(f"{one.event.type}.id", "conflict", cure)
            self.duplicates += 1
            return None
        return one, line

    def _keep(self, one: Made, line: bytes) -> None:
        if one.own_id:
            self.seen.add(identity(one.event.source, one.event.id), digest(b"event", line))
        if one.once is not None:
            self.seen.add(_once(one.emit, one.once), b"")
        self.by_type[one.event.type] += 1
        self.lines.add(one.event.time, line)

    def _seen_once(self, emit: int, value: object) -> bool:
        return self.seen.get(_once(emit, value)) is not None

    def _refuse(self, file: str, row: Row, refused: RowRefused) -> None:
        self.reasons[refused.reason] += 1
        line = Refusal(
            file=file, row=row.number, line=row.line, field=refused.field, reason=refused.reason, cure=refused.cure
        )
        self.refusals.write(msgspec.json.encode(line))


def _once(emit: int, value: object) -> bytes:
    # as it is where it is short; never of a digest's length, so that it is no other key
    key = b"once%d\0%b" % (emit, str(value).encode(errors="surrogateescape"))
    return key if len(key) < 16 else digest(b"once", key)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


__all__ = ["IngestReport", "ingest", "output_path"]
