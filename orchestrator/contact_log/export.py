"""The contact log for auditors: JSON Lines or CSV, and reading JSON Lines back to verify them without the store.

One column for each of the log's, in its order, and `member` beside `member_ref`. Instants are RFC 3339 UTC with
microseconds; what does not apply is `null` (empty in CSV). `trail` is the JSON object itself, byte for byte as it was
hashed: an export verifies as long as its lines are not written anew by another program. `member` is no part of the
chain, since the log does not know the member's id.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import IO, Literal

import msgspec
from msgspec import Raw, Struct

from orchestrator.contact_log.checkpoint import Checkpoint
from orchestrator.contact_log.verify import VerifyReport, report
from orchestrator.contact_log.walk import Faults, reach, walk
from orchestrator.errors import Tampered
from orchestrator.stores.contract import LogRow, Store
from orchestrator.times import instant, micros, rfc3339

Format = Literal["jsonl", "csv"]
# what a spreadsheet would take for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NULL = Raw(b"null")


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an export; its fields are the columns, in order."""

    partition: int
    n: int
    turn: int
    # the turn's now
    at: str
    # attempt, outcome, suppression: the database's clock; null: the same as `at`
    occurred_at: str | None
    valid_until: str | None
    kind: str
    # only where the caller may see it
    member: str | None
    member_ref: str | None
    journey: str | None
    step: str | None
    occurrence: str | None
    intent_id: str | None
    touch_id: str | None
    channel: str | None
    purpose: str | None
    verdict: str | None
    reason: str | None
    release_at: str | None
    state: str | None
    revision: str | None
    # a JSON object; a string where the store holds something else
    trail: Raw
    prev_hash: str
    hash: str


COLUMNS = Line.__struct_fields__
_read = msgspec.json.Decoder(Line).decode
# reads all of it, and makes nothing of it
_check = msgspec.json.Decoder(Raw).decode


class ExportReport(Struct, frozen=True, kw_only=True):
    """What was exported."""

    rows: int
    format: Format
    # whether `member` was filled
    members_named: bool


def export(
    store: Store,
    form: Format,
    out: IO[bytes],
    *,
    ref: str | None = None,
    partition: int | None = None,
    name_of: Callable[[str], str | None] | None = None,
) -> ExportReport:
    """Writes the log to `out`, by (partition, n); of one member (`ref`) or one partition where given.

    `name_of` gives the member's id of a reference, None where it is unknown or erased; it is passed only for a caller
    who may see members. Only an export of whole partitions can be verified as a chain.
    """
    rows = store.log(partition=partition, ref=ref)
    written = (_jsonl if form == "jsonl" else _csv)(rows, out, name_of or _nobody)
    return ExportReport(rows=written, format=form, members_named=name_of is not None)


def write_rows(rows: Iterable[LogRow], out: IO[bytes]) -> int:
    """These rows as JSON Lines, members unnamed; how many there were."""
    return _jsonl(rows, out, _nobody)


def read_rows(lines: Iterable[bytes]) -> Iterator[LogRow]:
    """The log rows of a JSON Lines export, exactly as they were in the store; raises Tampered at an unreadable line."""
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            yield _row(_read(raw))
        except (msgspec.DecodeError, ValueError):
            # the reason is left out: it might quote a member
            raise Tampered(f"line {number} of the export can't be read: it is not as it was written") from None


def verify_export(
    lines: Iterable[bytes], checkpoint: Checkpoint | None = None, public_key: bytes | None = None
) -> VerifyReport:
    """Verifies a JSON Lines export of whole partitions without the store; see `verify` for what a checkpoint adds.

    The export may go on beyond the checkpoint. Raises Tampered at a line that can't be read.
    """
    faults = Faults()
    if checkpoint is not None and public_key is not None and checkpoint.public_key != public_key.hex():
        faults.add(-1, 0, "signature", f"checkpoint {checkpoint.number} was signed with another key")
    marks = checkpoint.marks if checkpoint else {}
    walked = walk(read_rows(lines), faults, marks=marks)
    reach(marks, walked, faults)
    return report(walked, faults, checkpoint)


def line(row: LogRow, member: str | None = None) -> Line:
    """The line of one row."""
    return Line(
        partition=row.partition,
        n=row.n,
        turn=row.turn,
        at=rfc3339(instant(row.at)),
        occurred_at=_time(row.occurred_at),
        valid_until=_time(row.valid_until),
        kind=row.kind,
        member=member,
        member_ref=row.ref or None,
        journey=row.journey or None,
        step=row.step or None,
        occurrence=row.occurrence or None,
        intent_id=row.intent_id or None,
        touch_id=row.touch_id or None,
        channel=row.channel or None,
        purpose=row.purpose or None,
        verdict=row.verdict or None,
        reason=row.reason or None,
        release_at=_time(row.release_at),
        state=row.state or None,
        revision=row.revision or None,
        trail=_object(row.trail),
        prev_hash=row.prev_hash.hex(),
        hash=row.hash.hex(),
    )


def _jsonl(rows: Iterable[LogRow], out: IO[bytes], name_of: Callable[[str], str | None]) -> int:
    encode, count = msgspec.json.Encoder().encode, 0
    for row in rows:
        out.write(encode(line(row, name_of(row.ref))) + b"\n")
        count += 1
    return count


def _csv(rows: Iterable[LogRow], out: IO[bytes], name_of: Callable[[str], str | None]) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    table, count = csv.writer(text), 0
    table.writerow(COLUMNS)
    for row in rows:
        cells = msgspec.structs.asdict(line(row, name_of(row.ref))) | {"trail": row.trail}
        table.writerow([_cell(cells[column]) for column in COLUMNS])
        count += 1
    # the caller's file stays open
    text.detach()
    return count


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; None is empty."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _object(trail: str) -> Raw:
    """A trail as it stands where it is one JSON object on one line, which it always is; a JSON string otherwise."""
    if not trail:
        return _NULL
    raw = trail.encode()
    if trail[0] == "{" and trail[-1] == "}" and "\n" not in trail and "\r" not in trail:
        try:
            _check(raw)
        except msgspec.DecodeError:
            pass
        else:
            return Raw(raw)
    return Raw(msgspec.json.encode(trail))


def _row(line: Line) -> LogRow:
    raw = bytes(line.trail)
    return LogRow(
        partition=line.partition,
        n=line.n,
        turn=line.turn,
        at=_micros(line.at),
        occurred_at=_micros(line.occurred_at),
        valid_until=_micros(line.valid_until),
        kind=line.kind,
        ref=line.member_ref or "",
        journey=line.journey or "",
        step=line.step or "",
        occurrence=line.occurrence or "",
        intent_id=line.intent_id or "",
        touch_id=line.touch_id or "",
        channel=line.channel or "",
        purpose=line.purpose or "",
        verdict=line.verdict or "",
        reason=line.reason or "",
        release_at=_micros(line.release_at),
        state=line.state or "",
        revision=line.revision or "",
        trail="" if raw == b"null" else raw.decode() if raw[:1] == b"{" else msgspec.json.decode(raw, type=str),
        prev_hash=bytes.fromhex(line.prev_hash),
        hash=bytes.fromhex(line.hash),
    )


def _time(us: int) -> str | None:
    return rfc3339(instant(us)) if us else None


def _micros(text: str | None) -> int:
    return 0 if text is None else micros(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC))


def _nobody(_: str) -> None:
    return None
