"""Content files: YAML that remembers its lines, and its conversion to types with errors that a marketer can act on.

YAML is read as people expect it, not as YAML 1.1 has it: only `true` and `false` are truth values (`NO` is Norway, `on`
is a word), `21:00` is text and not the number 1260. A key written twice is an error, and so is an alias: what stands in
a file is what holds.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml
from msgspec import Struct

from orchestrator.errors import ContentError, Problem

if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:
    # libyaml's loader is ten times faster and builds the same nodes
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

T = TypeVar("T")
# keys and indexes that lead from the top of a file to a value
Steps = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_PLACE = re.compile(r" - at `.*`$|^Object contains |^Object ", re.DOTALL)
_SHOWN = 60
_KINDS: dict[object, str] = {int: "a whole number", float: "a number", str: "any text", date: "a date"}


class Located(Struct, frozen=True):
    """What a YAML file holds, with the line of each key and item."""

    # as it is to be shown to people
    file: str
    value: object
    lines: Mapping[Steps, int]

    def line(self, *steps: str | int) -> int:
        """The line (from 1) of the key or item these steps lead to, or of the nearest one above it that is there."""
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps, 1)

    def problem(self, what: str, cure: str = "", *, at: Steps = ()) -> Problem:
        """A problem at the line that the steps lead to."""
        return Problem(self.file, self.line(*at), what, cure)


class _Loader(_Base):
    """The safe loader with the words of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own attribute


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    (
        "timestamp",
        r"\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[-+]\d\d:\d\d))?",
        list("0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(path: Path, shown_as: str = "") -> Located:
    """The file's content with its lines; `shown_as` stands for the path in messages.

    Raises ContentError (file and line) where the file is absent, is not UTF-8 or no YAML, or has a key twice.
    """
    file = shown_as or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ContentError([Problem(file, 1, "this file does not exist")]) from None
    except UnicodeDecodeError:
        raise ContentError([Problem(file, 1, "this file is not UTF-8 text", "save it as UTF-8")]) from None
    return parse_yaml(text, file)


def parse_yaml(text: str, file: str) -> Located:
    """As `read_yaml`, from text in hand."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        lines: dict[Steps, int] = {(): 1}
        if root is None:
            return Located(file, None, lines)
        problems = [Problem(file, line, what, cure) for line, what, cure in _walk(loader, root, (), lines, set())]
        if problems:
            raise ContentError(problems)
        return Located(file, loader.construct_document(root), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ContentError([Problem(file, line, f"no YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ContentError([Problem(file, 1, f"no YAML: {str(error).splitlines()[0]}")]) from None
    finally:
        loader.dispose()


def _walk(
    loader: _Loader, node: yaml.Node, steps: Steps, lines: dict[Steps, int], seen: set[int]
) -> Iterator[tuple[int, str, str]]:
    """Notes the line of each key and item; yields (line, what, cure) of what is no plain content."""
    line = node.start_mark.line + 1
    if id(node) in seen:
        yield line, "an alias", "write it out: what stands in a file is what holds"
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*steps, i)] = item.start_mark.line + 1
            yield from _walk(loader, item, (*steps, i), lines, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            key_line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                yield key_line, "a key must be a plain word", ""
                continue
            here = (*steps, str(key.value))
            if here in lines:
                yield key_line, f"`{key.value}` stands twice, first on line {lines[here]}", "keep one of them"
            lines[here] = key_line
            yield from _walk(loader, item, here, lines, seen)
    elif isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "timestamp":
        try:
            loader.construct_yaml_timestamp(node)
        except ValueError as error:
            yield line, f"`{node.value}` is no date: {error}", "dates are written 2026-11-30"


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
                    yield Problem(problem.file, problem.line, named + problem.what, problem.cure)
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
    what = _PLACE.sub("", str(error)).replace("`", "")
    return located.problem(f"{named}{what} (it says {_show(value)})", at=at)


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
