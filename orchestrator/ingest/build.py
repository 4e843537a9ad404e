"""Makes the events of one row, by the mapping's `let` and `emit`.

Everything is compiled once: a name alone becomes a look-up, an expression a sandboxed function, the rest a constant.
What comes out was checked by the very types that `read_event` reads with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.envelope import Event, without_values
from orchestrator.ingest.clocks import LocalClock, last_day
from orchestrator.ingest.mapping import Emit, Lookup, Moment, SourceMapping
from orchestrator.ingest.refusal import RowRefused
from orchestrator.render.contract import RenderError
from orchestrator.render.sandbox import compile_expression
from orchestrator.times import duration

# the row's columns and what `let` worked out, by name
Values = dict[str, Any]
Get = Callable[[Values], Any]

# as the envelope bounds id and subject
LONGEST_WORD = 200
_LITERALS = {"true", "false", "none", "True", "False", "None"}
_IN_FIELD = " - at `"


def source_of(text: str) -> str:
    """The expression in a text, without the `=` that may lead it."""
    return text.removeprefix("=").strip()


def key_text(parts: Iterable[object]) -> str:
    """The parts of a row's key as one text; `/` within a part is escaped, so that different keys stay different."""
    return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)


def plain_name(source: str) -> bool:
    """True where an expression is a name and nothing else."""
    return source.isidentifier() and source not in _LITERALS


def names_in(text: str) -> frozenset[str]:
    """The columns and `let` names that an expression reads; raises sandbox.Rejected for what is none."""
    source = source_of(text)
    if plain_name(source):
        return frozenset({source})
    return frozenset(path.split(".")[0] for path in compile_expression(source).fields)


def getter(text: str, field: str) -> Get:
    """A function from a row's values to the expression's value; it raises RowRefused."""
    source = source_of(text)
    if plain_name(source):
        return itemgetter(source)
    expression = compile_expression(source)

    def get(values: Values) -> Any:
        try:
            return expression(values)
        except RenderError as error:
            raise RowRefused(field, "expression_failed", str(error)) from None

    return get


def lookup(spec: Lookup, field: str) -> Get:
    """A function that finds a value in the table."""
    key, table, default = getter(spec.of, field), spec.table, spec.default

    def get(values: Values) -> Any:
        found = table.get(key(values), default)
        if found == "refuse":
            raise RowRefused(field, "not_in_table", "add the value to this table, or give it a default")
        return found

    return get


def tree(node: Any, field: str) -> Get:
    """A function that fills in a tree of constants and expressions; nulls in objects and lists are left out."""
    if isinstance(node, str) and node.startswith("="):
        return getter(node, field)
    if isinstance(node, dict):
        return _object(
            {key: tree(value, f"{field}.{key}") for key, value in node.items() if key != "when"}, node, field
        )
    if isinstance(node, list):
        items = [tree(item, f"{field}[{i}]") for i, item in enumerate(node)]
        return lambda values: [value for item in items if (value := item(values)) is not None]
    return lambda _: node


def _object(parts: Mapping[str, Get], node: Mapping[str, Any], field: str) -> Get:
    pairs = tuple(parts.items())

    def get(values: Values) -> Any:
        return {key: value for key, part in pairs if (value := part(values)) is not None}

    if "when" not in node:
        return get
    when = getter(str(node["when"]), f"{field}.when")
    return lambda values: get(values) if when(values) else None


def moment(spec: str | Moment, clock: LocalClock, field: str) -> Get:
    """A function that gives the event's instant, aware UTC, or raises RowRefused (`bad_time`)."""
    if isinstance(spec, str):
        spec = Moment(of=spec)
    shift = signed(spec.shift)
    base = _fixed(spec.at) if spec.at else _of_column(spec, clock, field) if spec.of else _of_day(spec, clock, field)

    def get(values: Values) -> datetime:
        try:
            at: datetime = base(values) + shift
        except OverflowError:
            raise RowRefused(field, "bad_time", "give a time within the years 1 to 9999") from None
        return at

    return get if shift else base


def signed(text: str) -> timedelta:
    """An ISO 8601 duration that may begin with a sign; raises ValueError."""
    if text in {"PT0S", "P0D"}:
        return timedelta(0)
    return -duration(text[1:]) if text.startswith("-") else duration(text.removeprefix("+"))


def _fixed(at: datetime) -> Get:
    utc = at.astimezone(UTC)
    return lambda _: utc


def _of_column(spec: Moment, clock: LocalClock, field: str) -> Get:
    column, at_clock = spec.of or "", spec.clock

    def get(values: Values) -> datetime:
        value = values[column]
        if value.__class__ is datetime:
            return value
        if isinstance(value, date):
            return clock.instant(datetime.combine(value, at_clock), field)
        raise RowRefused(field, "bad_time", f"give a time in {column}")

    return get


def _of_day(spec: Moment, clock: LocalClock, field: str) -> Get:
    year, month = _number(spec.year, field), _number(spec.month, field)
    day = None if spec.day == "last" else _number(spec.day, field)
    at_clock: time = spec.clock

    def get(values: Values) -> datetime:
        try:
            y, m = year(values), month(values)
            d = last_day(y, m) if day is None else day(values)
            return clock.instant(datetime.combine(date(y, m, d), at_clock), field)
        except (TypeError, ValueError, OverflowError):
            raise RowRefused(field, "bad_time", "give a year, month and day that exist") from None

    return get


def _number(part: int | str | None, field: str) -> Get:
    return getter(part, field) if isinstance(part, str) else lambda _: part


class Made(NamedTuple):
    """One event of a row."""

    event: Event
    emit: int
    # the event's id is not derived from the row's key, so another row may have it too
    own_id: bool
    # the `once_per` value it is the first of, or None
    once: object


class Recipe:
    """The compiled `emit` of one event."""

    def __init__(
        self, i: int, emit: Emit, mapping: SourceMapping, clock: LocalClock, history: bool, types: EventTypes
    ) -> None:
        name = emit.name or emit.type
        self.i, self.type, self.name, self.source, self.history = i, emit.type, name, mapping.source, history
        self.kind, self.schema = types.kinds[emit.type], types.file(emit.type)
        self.when = getter(emit.when, f"{name}.when") if emit.when else None
        self.once = getter(emit.once_per, f"{name}.once_per") if emit.once_per else None
        self.id = getter(emit.id, f"{name}.id") if emit.id else None
        # the id is the row's key, and no other event of the row takes it: rows that differ have ids that differ
        alone = sum(other.id is not None for other in mapping.emit) == 1
        self.id_is_key = alone and emit.id is not None and (source_of(emit.id),) == mapping.key
        self.subject = getter(emit.subject or mapping.subject or "", f"{name}.subject")
        self.time = moment(emit.time or mapping.time or Moment(), clock, f"{name}.time")
        self.data = tree(emit.data, name)
        # values of `let` it needs, in order: to know whether it is emitted at all, and to make it
        asked = [text for text in (emit.once_per, emit.when) if text]
        self.lets_first = lets_for(asked, mapping)
        self.lets = lets_for(expressions_of(emit, mapping), mapping)

    def event(self, values: Values, key: str) -> Event:
        """The event of this row; raises RowRefused (`bad_id`, `bad_subject`, `bad_time`, `bad_data`)."""
        found = self.id(values) if self.id else f"{self.name}/{key}"
        return Event(
            id=_word(found, f"{self.name}.id", "bad_id"),
            source=self.source,
            type=self.type,
            subject=_word(self.subject(values), f"{self.name}.subject", "bad_subject"),
            time=self.time(values),
            data=self._checked(self.data(values)),
            history=self.history,
        )

    def _checked(self, data: dict[str, Any]) -> Any:
        try:
            return msgspec.convert(data, self.kind)
        except msgspec.ValidationError as error:
            what, _, place = without_values(error).partition(_IN_FIELD)
            field = f"{self.name}{place.removesuffix('`').removeprefix('$')}"
            cure = f"{what}; see {self.schema}"
            raise RowRefused(field, "bad_data", cure) from None


def _word(value: object, field: str, reason: Any) -> str:
    if value.__class__ is int:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_WORD:
        raise RowRefused(field, reason, f"give a text of 1 to {LONGEST_WORD} characters")
    return value


def texts_in(node: Any) -> list[str]:
    """Every expression in a tree of data, `when` included."""
    if isinstance(node, str):
        return [node] if node.startswith("=") else []
    if isinstance(node, dict):
        return [
            text
            for key, value in node.items()
            for text in ([str(value)] if key == "when" else texts_in(value))
        ]  # fmt: skip
    return [text for item in node for text in texts_in(item)] if isinstance(node, list) else []


def expressions_of(emit: Emit, mapping: SourceMapping) -> list[str]:
    """Every expression that an event is made with."""
    at = emit.time or mapping.time
    parts = (at.of, at.year, at.month, at.day if at.day != "last" else None) if isinstance(at, Moment) else (at,)
    alone = (emit.id, emit.when, emit.once_per, emit.subject or mapping.subject, *parts)
    data = [text for value in emit.data.values() for text in texts_in(value)]
    return [text for text in alone if isinstance(text, str)] + data


def lets_for(texts: Iterable[str], mapping: SourceMapping) -> tuple[str, ...]:
    """The `let` names that these expressions need, each after those it needs itself."""
    needed: dict[str, None] = {}

    def need(text: str) -> None:
        for name in sorted(names_in(text)):
            if name in mapping.let and name not in needed:
                spec = mapping.let[name]
                need(spec if isinstance(spec, str) else spec.of)
                needed[name] = None

    for text in texts:
        need(text)
    return tuple(needed)


class Builder:
    """The compiled mapping: from a row's values to its events."""

    def __init__(self, mapping: SourceMapping, clock: LocalClock, history: bool, types: EventTypes = ENGINE) -> None:
        self.lets = {
            name: lookup(spec, name) if isinstance(spec, Lookup) else getter(spec, name)
            for name, spec in mapping.let.items()
        }
        self.derived = tuple(f"{emit.name or emit.type}/" for emit in mapping.emit if emit.id is None)
        self.recipes = [Recipe(i, emit, mapping, clock, history, types) for i, emit in enumerate(mapping.emit)]

    def events(self, values: Values, key: str, seen_once: Callable[[int, object], bool]) -> list[Made]:
        """The events of a row, in the mapping's order; `values` gains what `let` works out. Raises RowRefused."""
        made: list[Made] = []
        for recipe in self.recipes:
            if recipe.lets_first:
                self._work_out(recipe.lets_first, values)
            once = recipe.once(values) if recipe.once else None
            if once is not None and seen_once(recipe.i, once):
                continue
            if recipe.when is not None and not recipe.when(values):
                continue
            if recipe.lets:
                self._work_out(recipe.lets, values)
            event = recipe.event(values, key if once is None else str(once))
            own_id = recipe.id is not None and not recipe.id_is_key
            if recipe.id is not None and event.id.startswith(self.derived):
                raise RowRefused(f"{recipe.name}.id", "bad_id", "it begins like an id that is made from a key")
            made.append(Made(event, recipe.i, own_id, once))
        return made

    def _work_out(self, names: tuple[str, ...], values: Values) -> None:
        for name in names:
            if name not in values:
                values[name] = self.lets[name](values)
