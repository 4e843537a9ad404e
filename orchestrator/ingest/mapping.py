"""A source mapping: which columns a file has, and which events each of its rows becomes. The form of `*.map.yaml`.

A text that begins with `=` is an expression of the columns (Jinja, in the house sandbox); every other value stands for
itself. `when`, `id`, `subject` and `once_per` are always expressions. A field whose value is null is left out.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from orchestrator.events.types import Currency

Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,59}$", description="small letters, digits and underscores")]
Expression = Annotated[str, Meta(min_length=1, max_length=2000)]
Kind = Literal["text", "int", "decimal", "money", "date", "datetime", "bool"]
# null: the value becomes a null, which is counted as cured
Cure = Literal["refuse"] | None


class Column(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of the file and how its text is read; blanks around it are dropped."""

    type: Kind
    # the header's word (CSV) or the dotted path (JSON Lines), where it differs from our name
    source: str = field(name="from", default="")
    # words that mean "not known"
    null: tuple[str, ...] = ("",)
    # a null refuses the row
    required: bool = False
    # inclusive bounds, in the column's own notation (money: 12.50)
    min: str | int | float | None = None
    max: str | int | float | None = None
    # what becomes of a value beyond the bounds, below zero, or not of this type
    out_of_range: Cure = "refuse"
    negative: Literal["allow", "refuse"] | None = "allow"
    unreadable: Cure = "refuse"
    # closed list of words (text)
    one_of: tuple[str, ...] = ()
    # ISO 4217 (money); the value is a whole number of its minor units
    currency: Currency | None = None
    # what becomes of digits beyond the unit (int, money); without it the row is refused
    round: Literal["half_up", "half_even", "down", "up"] | None = None
    decimal_mark: Literal[".", ","] = "."
    # what separates thousands; dropped
    thousands_mark: Literal["", ",", ".", " ", "'"] = ""
    # strptime format (date, datetime); ISO 8601 without it
    format: str = ""
    # zone of naive times in this column, where it is not the source's
    zone: str = ""


class Lookup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value found in a table; a value that is not in it refuses the row, unless there is a default."""

    of: Expression
    table: dict[str | int, Any]
    default: Any = "refuse"


class Moment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instant: of a column, or a fixed one, or a calendar day of the source's zone; then shifted."""

    # column of type datetime or date
    of: Name | None = None
    # fixed, with an offset
    at: datetime | None = None
    # a local day: each a number or an expression
    year: int | Expression | None = None
    month: int | Expression | None = None
    # `last` is the last day of the month
    day: int | Expression | Literal["last"] = 1
    # local time of day, for days
    clock: time = time(0)
    # ISO 8601 duration, with a sign: -PT1S
    shift: Annotated[str, Meta(pattern="^[-+]?P.*$", description="a duration such as P1D or -PT2H")] = "PT0S"


class Emit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event that a row may become."""

    type: str
    # stands in ids and reports; unique in the file
    name: Annotated[
        str, Meta(pattern="^([a-z][a-z0-9_.-]{0,59})?$", description="small letters, digits, points and hyphens")
    ] = ""
    # without it: name and key, `purchase.completed/1234`
    id: Expression | None = None
    subject: Expression | None = None
    time: Name | Moment | None = None
    # a row for which this is false emits nothing
    when: Expression | None = None
    # only the first row of each of its values emits
    once_per: Expression | None = None
    data: dict[str, Any] = field(default_factory=dict)


class SourceMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    # CloudEvents source of every event made here
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    format: Literal["csv", "jsonl"]
    # what this file is and what in it is a stand-in; for people
    note: str = ""
    # zone of naive local times and of local days
    zone: str
    # an hour that the clocks repeat in autumn: which one is meant
    repeated_hour: Literal["first", "second", "refuse"] = "first"
    # an hour that the clocks skip in spring: refused, or read as the clock that was not put forward
    skipped_hour: Literal["refuse", "later"] = "refuse"
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    # as_given: in the order of the rows; time: sorted by the events' time
    order: Literal["as_given", "time"] = "as_given"
    columns: Annotated[dict[Name, Column], Meta(min_length=1)]
    # the columns that tell rows apart: the same key again is a duplicate (same content) or a conflict (other content)
    key: Annotated[tuple[str, ...], Meta(min_length=1)]
    # values worked out once a row: an expression, or a table
    let: dict[Name, Expression | Lookup] = field(default_factory=dict)
    # for events that do not say otherwise
    subject: Expression | None = None
    time: Name | Moment | None = None
    emit: Annotated[tuple[Emit, ...], Meta(min_length=1)]
