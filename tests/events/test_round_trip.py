"""Any event of any type that the types allow is written and read back the same."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.inspect import (
    BoolType,
    DateTimeType,
    DateType,
    DictType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from orchestrator.events.envelope import Event, read_event, write_event
from orchestrator.events.types import EVENT_TYPES, Data

INT64 = 2**63 - 1
PATTERNS = {"^[A-Z]{2}$": r"[A-Z]{2}", "^[A-Z]{3}$": r"[A-Z]{3}", "^[A-Z]{2}-[A-Z0-9]{1,3}$": r"[A-Z]{2}-[A-Z0-9]{1,3}"}

words = st.text(min_size=1, max_size=200)
instants = st.datetimes(timezones=st.just(UTC))


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event that can exist."""
    name = draw(st.sampled_from(sorted(EVENT_TYPES)))
    return Event(
        id=draw(words),
        source=draw(words),
        type=name,
        subject=draw(words),
        time=draw(instants),
        data=draw(data(EVENT_TYPES[name])),
        history=draw(st.booleans()),
    )


def data(kind: type[Data]) -> st.SearchStrategy[Data]:
    """Any data of one event type."""
    info = type_info(kind)
    assert isinstance(info, StructType)
    return struct(info)


def struct(info: StructType) -> st.SearchStrategy[Any]:
    required = {field.encode_name: value(field.type) for field in info.fields if field.required}
    optional = {field.encode_name: value(field.type) for field in info.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: msgspec.convert(fields, info.cls))


def value(kind: Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0912  # one case a type: a table
    """Any value of a field."""
    match kind:
        case Metadata():
            return value(kind.type)
        case StructType():
            return struct(kind)
        case UnionType():
            return st.one_of([value(option) for option in kind.types])
        case VarTupleType():
            return st.lists(value(kind.item_type), max_size=3).map(tuple)
        case DictType():
            return st.dictionaries(value(kind.key_type), value(kind.value_type), max_size=5)
        case LiteralType():
            return st.sampled_from(kind.values)
        case StrType(pattern=str(pattern)):
            return st.from_regex(PATTERNS[pattern], fullmatch=True)
        case StrType():
            return st.text(min_size=kind.min_length or 0, max_size=min(kind.max_length or 50, 50))
        case IntType():
            return st.integers(-INT64 if kind.ge is None else kind.ge, INT64 if kind.le is None else kind.le)
        case FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case BoolType():
            return st.booleans()
        case NoneType():
            return st.none()
        case DateTimeType():
            return instants
        case DateType():
            return st.dates()
    raise AssertionError(f"no strategy for {kind}")


@given(events())
def test_what_is_written_is_read_back_the_same(event: Event) -> None:
    assert event == read_event(write_event(event))
