"""The records of a CSV or JSON Lines file, plain or gzip, one at a time; a bad one is reported and passed over."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from orchestrator.errors import UsageError
from orchestrator.ingest.mapping import SourceMapping
from orchestrator.ingest.refusal import RowRefused

# bytes of one JSON line
LONGEST = 2**20
_GZIP = b"\x1f\x8b"

Cells = list[str | None]


class Row(NamedTuple):
    """One record: the declared columns' texts in the mapping's order, or why they can't be had."""

    # from 1, header not counted
    number: int
    # physical line it ends on, from 1
    line: int
    cells: Cells
    refused: RowRefused | None


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """The file's plain bytes, and a function that says how many bytes of the file itself were read.

    Raises UsageError where it is not there, or where its compression is damaged.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP
            if not packed:
                yield raw, raw.tell
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield io.BufferedReader(unpacked, 2**18), raw.tell
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise UsageError(f"{path}: its gzip data is damaged or cut off; fetch the file again") from None
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; name its files") from None


def rows(file: BinaryIO, name: str, mapping: SourceMapping) -> Iterator[Row]:
    """The records of an open file; raises UsageError where it lacks a declared column."""
    return _csv(file, name, mapping) if mapping.format == "csv" else _json_lines(file, mapping)


def _csv(file: BinaryIO, name: str, mapping: SourceMapping) -> Iterator[Row]:
    encoding = "utf-8-sig" if mapping.encoding == "utf-8" else mapping.encoding
    text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
    try:
        reader = csv.reader(text, delimiter=mapping.delimiter, strict=True)
        try:
            header = [word.strip() for word in next(reader, [])]
        except csv.Error:
            raise UsageError(f"{name}: its first line is no CSV header; name the columns there") from None
        places = _places(header, name, mapping)
        width, number = len(header), 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield Row(number, reader.line_num, [], _bad_csv(error))
                continue
            if not cells:
                continue
            number += 1
            if len(cells) != width:
                cure = f"it has {len(cells)} fields and the header has {width}; quote fields that hold the delimiter"
                yield Row(number, reader.line_num, [], RowRefused("", "wrong_column_count", cure))
                continue
            yield Row(number, reader.line_num, [cells[place] for place in places], None)
    finally:
        # the file is closed by whoever opened it
        text.detach()


def _bad_csv(error: csv.Error) -> RowRefused:
    if "limit" in str(error):
        return RowRefused("", "too_long", "a field is longer than any should be; is a quote left open?")
    return RowRefused("", "bad_csv", "double the quotes inside a quoted field, and close it")


def _places(header: list[str], name: str, mapping: SourceMapping) -> list[int]:
    wanted = [column.source or own for own, column in mapping.columns.items()]
    missing = [word for word in wanted if word not in header]
    if missing:
        raise UsageError(
            f"{name}: its header lacks {', '.join(missing)}; is this the file that the mapping describes, "
            f"and is its delimiter {mapping.delimiter!r}?"
        )
    if twice := [word for word in wanted if header.count(word) > 1]:
        raise UsageError(f"{name}: its header names {', '.join(twice)} twice; rename one of them")
    return [header.index(word) for word in wanted]


def _json_lines(file: BinaryIO, mapping: SourceMapping) -> Iterator[Row]:
    paths = [tuple((column.source or name).split(".")) for name, column in mapping.columns.items()]
    # fractions are kept as they are written: 19.99 is not a binary fraction
    decode = msgspec.json.Decoder(dict[str, object], float_hook=str).decode
    number = 0
    for line, raw in enumerate(_lines(file), start=1):
        if raw is None:
            number += 1
            yield Row(number, line, [], RowRefused("", "too_long", f"a line holds at most {LONGEST} bytes"))
            continue
        record = raw.removeprefix(codecs.BOM_UTF8).strip() if line == 1 else raw.strip()
        if not record:
            continue
        number += 1
        try:
            fields = decode(record)
            yield Row(number, line, [_at(fields, path) for path in paths], None)
        except RowRefused as refused:
            yield Row(number, line, [], refused)
        except UnicodeDecodeError:
            yield Row(number, line, [], RowRefused("", "bad_encoding", "write the file in UTF-8"))
        except (msgspec.MsgspecError, RecursionError):
            yield Row(number, line, [], RowRefused("", "bad_json", "write one JSON object a line"))


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines with their ends; None for one that is too long, which is passed over without being held."""
    while raw := file.readline(LONGEST):
        if len(raw) < LONGEST or raw.endswith(b"\n"):
            yield raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST)
        yield None


def _at(fields: dict[str, object], path: tuple[str, ...]) -> str | None:
    """The text at a dotted path; None where it is null or not there."""
    value: object = fields
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            raise RowRefused(".".join(path), "not_scalar", "name one of its parts with a dotted path in `from`")
