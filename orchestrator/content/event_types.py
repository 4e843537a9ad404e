"""A project's own event types, read from `schemas/events/<type>.v<n>.json`.

Beside them lie the schemas of the engine's own types, as `init` wrote them: they describe, and change nothing. A copy
of them is known by its seal, be it of another version of the engine; one that somebody edited is a problem.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from orchestrator.content import locate
from orchestrator.content.event_schema import own_type
from orchestrator.content.files import parse_yaml
from orchestrator.errors import ContentError, Problem
from orchestrator.events.catalogue import EventTypes, OwnType
from orchestrator.events.schemas import untouched
from orchestrator.events.types import EVENT_TYPES
from orchestrator.located import Located

_FILE = re.compile(r"(?P<type>.+)\.v[1-9][0-9]*\.json")
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,40}(\.[a-z][a-z0-9_]{0,40}){1,3}")
# what a project can't declare
_TAKEN = frozenset({*EVENT_TYPES, "envelope"})


def load_event_types(project: Path) -> EventTypes:
    """The types that a project's events may have; raises ContentError with every problem of every schema."""
    types, problems = read_event_types(locate.folder("schemas", project))
    if problems:
        raise ContentError(problems)
    return types


def read_event_types(folder: Path) -> tuple[EventTypes, list[Problem]]:
    """The types of `schemas/` and every problem of its files; a type whose schema is not sound is known by name."""
    own: dict[str, OwnType] = {}
    problems: list[Problem] = []
    for path in own_files(folder):
        try:
            located = _read(path, f"{folder.name}/events/{path.name}")
            name = _name(located, path.name, own)
        except ContentError as error:
            problems += error.problems
            continue
        try:
            own[name] = own_type(located, name, path.name)
        except ContentError as error:
            problems += error.problems
            own[name] = OwnType(path.name, None)
    return EventTypes(own), problems


def own_files(folder: Path) -> list[Path]:
    """The files of `schemas/` that the engine did not write, in order."""
    return [path for path in sorted((folder / "events").glob("*.json")) if not _of_engine(path)]


def _of_engine(path: Path) -> bool:
    """Whether the engine wrote this file, and nobody else since; one under another name is somebody's own."""
    name = path.name.removesuffix(".v1.json")
    try:
        schema = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return untouched(schema) and schema["title"] == ("event" if name == "envelope" else name)


def _read(path: Path, shown_as: str) -> Located:
    """The schema with its places; raises ContentError where it is no JSON, or has a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except UnicodeDecodeError:
        raise ContentError([Problem(shown_as, 1, "this file is not UTF-8 text", "save it as UTF-8")]) from None
    except RecursionError:
        raise ContentError([Problem(shown_as, 1, "it is nested too deeply")]) from None
    except json.JSONDecodeError as error:
        raise ContentError([Problem(shown_as, error.lineno, f"no JSON: {error.msg}", "", error.colno)]) from None
    # JSON is YAML, but for tabs between its parts; within its texts there are none
    places = parse_yaml(text.replace("\t", " "), shown_as)
    return Located(shown_as, value, places.lines, places.columns)


def _name(located: Located, file: str, own: dict[str, OwnType]) -> str:
    """The type that a file declares, by its name; raises ContentError where it can't."""
    match = _FILE.fullmatch(file)
    name = "" if match is None else match["type"]
    what = cure = ""
    if name in _TAKEN:
        what = f"`{name}` is the engine's own, and a project can't change it"
        cure = "delete this file, or give your type a name of its own"
    elif not _TYPE.fullmatch(name):
        what = "a schema is called by its type: <type>.v<n>.json"
        cure = "small letters, and a dot at least, such as booking.confirmed.v1.json"
    elif name in own:
        what, cure = f"`{name}` is declared by {own[name].file} already", "keep one of them"
    else:
        # templates and conditions write aggregates.booking_confirmed
        other = next((each for each in (*EVENT_TYPES, *own) if each.replace(".", "_") == name.replace(".", "_")), "")
        if other:
            what, cure = f"`{name}` and `{other}` have the same figures", "choose another name"
    if what:
        first = next(iter(located.value), "") if isinstance(located.value, dict) else ""
        raise ContentError([located.problem(what, cure, at=(first,))])
    return name
