"""Reads a mapping file and finds everything wrong with it at once, each with file and line."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from orchestrator.content.files import read_yaml
from orchestrator.errors import ContentError, Problem
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.ingest.build import names_in, signed
from orchestrator.ingest.clocks import LocalClock
from orchestrator.ingest.columns import reader
from orchestrator.ingest.mapping import Column, Emit, Moment, SourceMapping
from orchestrator.ingest.refusal import RowRefused
from orchestrator.located import Located, Steps, convert, nearest, wanted
from orchestrator.render.sandbox import Rejected

SUFFIX = ".map.yaml"
_RANGED = {"int", "decimal", "money", "date", "datetime"}
_NUMBERS = {"int", "decimal", "money"}
# options of a column -> the types that they are for
_ONLY_FOR = {
    "one_of": {"text"},
    "currency": {"money"},
    "round": {"int", "money"},
    "decimal_mark": _NUMBERS,
    "thousands_mark": _NUMBERS,
    "negative": _NUMBERS,
    "format": {"date", "datetime"},
    "zone": {"datetime"},
    "min": _RANGED,
    "max": _RANGED,
}


class LoadedMapping(Struct, frozen=True):
    """A mapping that was checked, with what names it."""

    # as shown to people
    file: str
    # SHA-256 of the file's text
    digest: bytes
    mapping: SourceMapping
    # what its events may be
    types: EventTypes = ENGINE  # never changed


def load_mapping(path: Path, shown_as: str = "", types: EventTypes = ENGINE) -> LoadedMapping:
    """The mapping in this file, to events of these types; raises ContentError with every problem, file and line."""
    located = read_yaml(path, shown_as)
    mapping = convert(located, SourceMapping)
    if problems := sorted(_problems(located, mapping, types), key=lambda problem: problem.line):
        raise ContentError(problems)
    return LoadedMapping(located.file, hashlib.sha256(path.read_bytes()).digest(), mapping, types)


def _problems(located: Located, mapping: SourceMapping, types: EventTypes) -> Iterator[Problem]:
    yield from _zone(located, mapping.zone, ("zone",))
    for name, column in mapping.columns.items():
        yield from _column(located, name, column)
    for i, name in enumerate(mapping.key):
        if name not in mapping.columns:
            yield located.problem(f"`{name}` is no column", nearest(name, mapping.columns), at=("key", i))
    yield from _lets(located, mapping)
    names = Counter(emit.name or emit.type for emit in mapping.emit)
    for i, emit in enumerate(mapping.emit):
        at: Steps = ("emit", i)
        if names[emit.name or emit.type] > 1:
            yield located.problem(f"two events are named `{emit.name or emit.type}`", "give each a `name:`", at=at)
        yield from _emit(located, emit, mapping, types, at)


def _zone(located: Located, zone: str, at: Steps) -> Iterator[Problem]:
    try:
        ZoneInfo(zone)
    except (ValueError, KeyError, OSError):
        yield located.problem(f"`{zone}` is no time zone", "write an IANA name, such as America/New_York", at=at)


def _column(located: Located, name: str, column: Column) -> Iterator[Problem]:
    at: Steps = ("columns", name)
    plain = Column(type=column.type)
    for option, types in _ONLY_FOR.items():
        if getattr(column, option) != getattr(plain, option) and column.type not in types:
            yield located.problem(f"`{option}` is for {', '.join(sorted(types))}, not {column.type}", at=(*at, option))
            return
    if column.type == "money" and column.currency is None:
        yield located.problem("a column of money needs its currency", "add `currency: USD`", at=at)
        return
    if column.zone:
        yield from _zone(located, column.zone, (*at, "zone"))
    if column.decimal_mark == column.thousands_mark:
        yield located.problem("decimals and thousands have the same mark", at=(*at, "thousands_mark"))
    try:
        reader(name, column, LocalClock(ZoneInfo("UTC")), Counter())
    except RowRefused as error:
        yield located.problem(f"its bounds can't be read: {error.cure}", "write them as in the column", at=at)


def _lets(located: Located, mapping: SourceMapping) -> Iterator[Problem]:
    known = set(mapping.columns)
    for name, spec in mapping.let.items():
        at: Steps = ("let", name)
        if name in mapping.columns:
            yield located.problem(f"`{name}` is a column already", "choose another name", at=at)
        text, here = (spec, at) if isinstance(spec, str) else (spec.of, (*at, "of"))
        # only what stands above it may be used: so there are no circles
        yield from _expression(located, text, known, here)
        known.add(name)


def _expression(located: Located, text: str, known: set[str], at: Steps) -> Iterator[Problem]:
    try:
        for name in sorted(names_in(text) - known):
            yield located.problem(f"`{name}` is no column and no value of `let` above", nearest(name, known), at=at)
    except Rejected as error:
        for fault in error.faults:
            yield located.problem(f"in the expression: {fault.what}", fault.cure, at=at)


def _emit(located: Located, emit: Emit, mapping: SourceMapping, types: EventTypes, at: Steps) -> Iterator[Problem]:
    known = {*mapping.columns, *mapping.let}
    for option in ("id", "when", "once_per", "subject"):
        if (text := getattr(emit, option)) is not None:
            yield from _expression(located, text, known, (*at, option))
    if emit.subject is None and mapping.subject is None:
        yield located.problem("this event has no `subject`", "name the member's column, here or for the file", at=at)
    elif emit.subject is None and mapping.subject is not None:
        yield from _expression(located, mapping.subject, known, ("subject",))
    when, place = (emit.time, (*at, "time")) if emit.time is not None else (mapping.time, ("time",))
    yield from _moment(located, when, mapping, known, at if when is None else place)
    kind = types.kinds.get(emit.type)
    if kind is None:
        yield located.problem(
            f"there is no event type `{emit.type}`", nearest(emit.type, types.names), at=(*at, "type")
        )
        return
    yield from _data(located, emit.data, kind, known, (*at, "data"))


def _moment(
    located: Located, spec: str | Moment | None, mapping: SourceMapping, known: set[str], at: Steps
) -> Iterator[Problem]:
    if spec is None:
        yield located.problem("this event has no `time`", "name a column of type datetime or date", at=at)
        return
    if isinstance(spec, str):
        spec = Moment(of=spec)
    ways = [spec.of is not None, spec.at is not None, spec.year is not None or spec.month is not None]
    if sum(ways) != 1 or (ways[2] and None in {spec.year, spec.month}):
        yield located.problem("a time is either `of` a column, or `at` an instant, or a `year` and `month`", at=at)
    if spec.of is not None:
        column = mapping.columns.get(spec.of)
        if column is None or column.type not in {"date", "datetime"}:
            timed = [name for name, c in mapping.columns.items() if c.type in {"date", "datetime"}]
            yield located.problem(f"`{spec.of}` is no column of type datetime or date", nearest(spec.of, timed), at=at)
    if spec.at is not None and spec.at.tzinfo is None:
        yield located.problem("`at` needs an offset", "write 2017-01-01T00:00:00-05:00", at=at)
    for text in (spec.year, spec.month, spec.day):
        if isinstance(text, str) and text != "last":
            yield from _expression(located, text, known, at)
    try:
        signed(spec.shift)
    except ValueError:
        yield located.problem("`shift` is no duration", "write PT1S, -PT1S or P1D", at=at)


def _data(located: Located, node: Any, kind: Any, known: set[str], at: Steps) -> Iterator[Problem]:
    """What is wrong in a tree of data, against the type it must become."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(node, str) and node.startswith("="):
        yield from _expression(located, node, known, at)
    elif isinstance(plain, type) and issubclass(plain, Struct) and isinstance(node, dict):
        yield from _fields(located, node, plain, known, at)
    elif get_origin(plain) is tuple and isinstance(node, list):
        for i, item in enumerate(node):
            yield from _data(located, item, get_args(plain)[0], known, (*at, i))
            if isinstance(item, dict) and "when" in item:
                yield from _expression(located, str(item["when"]), known, (*at, i, "when"))
    elif get_origin(plain) is dict and isinstance(node, dict):
        for key, value in node.items():
            yield from _data(located, value, get_args(plain)[1], known, (*at, str(key)))
    else:
        # a constant of the wrong kind would refuse every row; it is found before the first one
        try:
            msgspec.convert(node, kind)
        except msgspec.ValidationError as error:
            yield located.problem(f"`{at[-1]}`: {wanted(error, kind)}", "write = before an expression", at=at)


def _fields(
    located: Located, node: dict[Any, Any], kind: type[Struct], known: set[str], at: Steps
) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in node.items():
        if key in fields:
            yield from _data(located, value, fields[key].type, known, (*at, key))
        elif not (key == "when" and isinstance(at[-1], int)):
            yield located.problem(f"`{key}` is no field of {kind.__name__}", nearest(key, fields), at=(*at, str(key)))
    for name, field in fields.items():
        if field.required and name not in node:
            yield located.problem(f"`{name}` is missing", f"add `{name}:`", at=at)
