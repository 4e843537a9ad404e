"""Content files: YAML that remembers its lines and columns.

YAML is read as people expect it, not as YAML 1.1 has it: only `true` and `false` are truth values (`NO` is Norway, `on`
is a word), `21:00` is text and not the number 1260. A key written twice is an error, and so is an alias: what stands in
a file is what holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from orchestrator.errors import ContentError, Problem
from orchestrator.located import Located, Steps

if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:
    # libyaml's loader is ten times faster and builds the same nodes
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"


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
        places: dict[Steps, yaml.Mark] = {}
        found = [] if root is None else [*_walk(loader, root, (), places, set())]
        problems = [Problem(file, at.line + 1, what, cure, at.column + 1) for at, what, cure in found]
        if problems:
            raise ContentError(problems)
        value = None if root is None else loader.construct_document(root)
        lines: dict[Steps, int] = {(): 1}
        columns: dict[Steps, int] = {}
        for steps, at in places.items():
            lines[steps], columns[steps] = at.line + 1, at.column + 1
        return Located(file, value, lines, columns)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
        raise ContentError([Problem(file, line, f"no YAML: {error.problem or error.context}", "", column)]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ContentError([Problem(file, 1, f"no YAML: {str(error).splitlines()[0]}")]) from None
    finally:
        loader.dispose()


def _walk(
    loader: _Loader, node: yaml.Node, steps: Steps, places: dict[Steps, yaml.Mark], seen: set[int]
) -> Iterator[tuple[yaml.Mark, str, str]]:
    """Notes the place of each key and item; yields (place, what, cure) of what is no plain content."""
    place = node.start_mark
    if id(node) in seen:
        yield place, "an alias", "write it out: what stands in a file is what holds"
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            places[(*steps, i)] = item.start_mark
            yield from _walk(loader, item, (*steps, i), places, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield key.start_mark, "a key must be a plain word", ""
                continue
            here = (*steps, str(key.value))
            if here in places:
                first = places[here].line + 1
                yield key.start_mark, f"`{key.value}` stands twice, first on line {first}", "keep one of them"
            places[here] = key.start_mark
            yield from _walk(loader, item, here, places, seen)
    elif isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "timestamp":
        try:
            loader.construct_yaml_timestamp(node)
        except ValueError as error:
            yield place, f"`{node.value}` is no date: {error}", "dates are written 2026-11-30"
