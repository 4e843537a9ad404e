"""A value read from a file, with the line and column of each of its parts, and its conversion to types.

What is wrong is told with file, line, column and cure, in words that whoever wrote the file can act on.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from orchestrator.errors import ContentError, Problem

T = TypeVar("T")
# keys and indexes that lead from the top of a file to a value
Steps = tuple[str | int, ...]

_PLACE = re.compile(r" - at `.*`$|^Object contains |^Object ", re.DOTALL)
# how msgspec says what it wanted, and how people call that
_WANTED = re.compile(r"Expected `(?P<kind>[a-z]+)(?: \| null)?`(?:, got `(?P<got>[a-z]+)`)?(?P<rest>[^`]*)")
_PLAIN = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a date such as 2026-11-30",
    "datetime": "a time such as 2026-11-30T10:00:00Z",
    "array": "a list",
    "object": "names with values",
    "null": "nothing",
}
_SIZES = {" >= ": "at least ", " <= ": "at most ", " > ": "more than ", " < ": "less than "}
_SHOWN = 60
_KINDS: dict[object, str] = {int: "a whole number", float: "a number", str: "any text", date: "a date"}


class Located(Struct, frozen=True):
    """What a YAML file holds, with the line and column of each key and item."""

    # as it is to be shown to people
    file: str
    value: object
    lines: Mapping[Steps, int]
    # where it is not known: empty
    columns: Mapping[Steps, int] = {}

    def line(self, *steps: str | int) -> int:
        """The line (from 1) of the key or item these steps lead to, or of the nearest one above it that is there."""
        return self.lines.get(self._there(steps), 1)

    def column(self, *steps: str | int) -> int:
        """The column (from 1) on that line; 0 where it is not known."""
        return self.columns.get(self._there(steps), 0)

    def problem(self, what: str, cure: str = "", *, at: Steps = ()) -> Problem:
        """A problem at the line and column that the steps lead to."""
        return Problem(self.file, self.line(*at), what, cure, self.column(*at))

    def _there(self, steps: Steps) -> Steps:
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return steps


def convert(located: Located, type_: type[T], *, at: Steps = ()) -> T:
    """The value (or the part of it that `at` leads to) as `type_`, a msgspec type.

    Raises ContentError with every problem found, each with its line, and the nearest valid name for an unknown one.
    """
    value = located.value
    for step in at:
        value = value[step]  # type: ignore[index]  # the caller has seen that it is there
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise ContentError(list(_problems(located, value, type_, at))) from None


def nearest(name: object, names: Iterable[str]) -> str:
    """The cure for a name that is none of `names`: the likeliest one meant, and what there is."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    there = f"there is: {', '.join(known)}" if known else "nothing is allowed here"
    return f"did you mean `{close[0]}`? {there}" if close else there


def _problems(located: Located, value: object, type_: Any, at: Steps) -> Iterator[Problem]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        inner = list(_inside(located, value, type_, at))
        yield from inner or [_here(located, value, type_, at, error)]


def _inside(located: Located, value: object, type_: Any, at: Steps) -> Iterator[Problem]:
    """The problems of the parts that a value is made of."""
    for option in _options(type_, value):
        origin, arguments = get_origin(option), get_args(option)
        if isinstance(value, dict) and isinstance(option, type) and issubclass(option, Struct):
            yield from _fields(located, value, option, at)
        elif isinstance(value, dict) and origin in (dict, Mapping):
            for key, item in value.items():
                named = f"as a name of {at[-1]}, " if at else ""
                for problem in _problems(located, key, arguments[0], (*at, str(key))):
                    yield Problem(problem.file, problem.line, named + problem.what, problem.cure, problem.column)
                yield from _problems(located, item, arguments[1], (*at, str(key)))
        elif isinstance(value, list) and origin in (list, tuple, set, frozenset):
            fixed = origin is tuple and Ellipsis not in arguments
            for i, item in enumerate(value):
                if not fixed or i < len(arguments):
                    yield from _problems(located, item, arguments[i if fixed else 0], (*at, i))


def _fields(located: Located, value: dict[object, object], struct: type[Struct], at: Steps) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    config = struct.__struct_config__
    known = set(fields) | ({config.tag_field} if config.tag_field else set())
    for key, item in value.items():
        if key in fields:
            yield from _problems(located, item, fields[str(key)].type, (*at, str(key)))
        elif key not in known and config.forbid_unknown_fields:
            yield located.problem(f"`{key}` is not known here", nearest(key, known), at=(*at, str(key)))
    for name, field in fields.items():
        if field.required and name not in value:
            yield located.problem(f"`{name}` is missing", f"add `{name}:`", at=at)


def _options(type_: Any, value: object) -> list[Any]:
    """The plain types that this value may have been meant as."""
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    if get_origin(type_) not in (Union, types.UnionType):
        return [type_]
    options = [option for part in get_args(type_) for option in _options(part, value)]
    structs = [o for o in options if isinstance(o, type) and issubclass(o, Struct)]
    if isinstance(value, dict) and len(structs) > 1:
        return [o for o in structs if value.get(o.__struct_config__.tag_field) == o.__struct_config__.tag]
    return options


def _here(located: Located, value: object, type_: Any, at: Steps, error: msgspec.ValidationError) -> Problem:
    named = f"`{at[-1]}`: " if at and isinstance(at[-1], str) else ""
    tags = _tags(type_, value)
    if tags:
        field, names = tags
        given = value.get(field) if isinstance(value, dict) else None
        what = f"`{field}` is missing" if given is None else f"{_show(given)} is no `{field}`"
        return located.problem(named + what, nearest(given or "", names), at=(*at, field))
    options = _options(type_, value)
    words = [str(word) for option in options if get_origin(option) is Literal for word in get_args(option)]
    if words and not isinstance(value, (dict, list)) and type(value) not in options:
        words += [_KINDS[option] for option in options if option in _KINDS]
        return located.problem(f"{named}{_show(value)} is not known here", nearest(value, words), at=at)
    said = "" if isinstance(value, (dict, list)) else f" (it says {_show(value)})"
    return located.problem(f"{named}{wanted(error, type_)}{said}", at=at)


def wanted(error: msgspec.ValidationError, type_: Any) -> str:
    """What a value of this type must be, in words of people; a message of our own making stands as it is."""
    text = _PLACE.sub("", str(error))
    if text.startswith("Invalid RFC3339 encoded "):
        kind = text.rpartition(" ")[2]
        return f"must be {_PLAIN.get(kind, kind)}"
    match = _WANTED.fullmatch(text)
    if match is None:
        return text.replace("`", "")
    kind, got, rest = match["kind"], match["got"], match["rest"]
    if got:
        return f"must be {_PLAIN.get(kind, kind)}, not {_PLAIN.get(got, got)}"
    if " matching regex " in rest:
        described = [meta.description for meta in _metas(type_) if meta.description]
        return f"must be {described[0]}" if described else f"must be like {rest.partition(' matching regex ')[2]}"
    length = rest.removeprefix(" of length")
    size = next(
        (words + length.removeprefix(sign) for sign, words in _SIZES.items() if length.startswith(sign)), length
    )
    unit = {"str": " characters long", "array": " of them"}.get(kind, "") if length != rest else ""
    return "must not be empty" if size == "at least 1" and unit else f"must be {size}{unit}"


def _metas(type_: Any) -> Iterator[msgspec.Meta]:
    """What is said of a type beside its kind, the parts of a union included."""
    if get_origin(type_) is Annotated:
        yield from (meta for meta in type_.__metadata__ if isinstance(meta, msgspec.Meta))
    for part in get_args(type_):
        yield from _metas(part)


def _tags(type_: Any, value: object) -> tuple[str, list[str]] | None:
    """The tag field of a union of structs and its words, where the value's own tag is none of them."""
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    if not isinstance(value, dict) or get_origin(type_) not in (Union, types.UnionType):
        return None
    configs = [o.__struct_config__ for o in get_args(type_) if isinstance(o, type) and issubclass(o, Struct)]
    field = next((config.tag_field for config in configs if config.tag_field), None)
    names = [str(config.tag) for config in configs]
    return (field, names) if field and str(value.get(field)) not in names else None


def _show(value: object) -> str:
    text = "nothing" if value is None else f"`{value}`"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
