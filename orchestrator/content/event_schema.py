"""A project's own event type: the part of JSON Schema (draft 2020-12) that is read, compiled to a frozen class.

    {"type": "object", "properties": {…}, "required": […], "examples": [{…}]}  ─▶  a class as the engine's own are

What is written here is what holds: a keyword that would not be checked is a problem and not passed over. As with the
engine's types, unknown fields are refused, a field that need not be there may be null, instants carry an offset; text
without a `maxLength` is bounded, and so are lists, since what starts a journey is kept with the member.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Meta, Struct

from orchestrator.errors import ContentError, Problem
from orchestrator.events.catalogue import OwnType
from orchestrator.events.types import Data, Instant
from orchestrator.located import Located, Steps, convert, nearest
from orchestrator.masked import hiding

FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
# where the schema says nothing else
MAX_TEXT, MAX_ITEMS = 500, 100
# what a schema may ask for at most
MOST_TEXT, MOST_ITEMS = 10_000, 1_000
MAX_FIELDS = 100
# whole numbers that every reader of JSON keeps exact (RFC 8259, section 6)
EXACT = 2**53 - 1
# said to people, or read elsewhere here
_SAID = ("$schema", "$id", "$comment", "$defs", "title", "description", "examples", "default", "deprecated")
_NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
# type -> what may stand beside it
_BESIDE: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": _NUMBER,
    "number": _NUMBER,
    "boolean": (),
    "null": (),
    "array": ("items", "minItems", "maxItems"),
    "object": ("properties", "required", "additionalProperties", "maxProperties"),
}
_META = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
_FORMATS: dict[str, Any] = {"date": date, "date-time": Instant}
_WAYS = ("$ref", "anyOf", "enum", "const", "type")
_JSON = {"string": str, "integer": int, "null": type(None)}
# fields that a member's sums add up, where they are whole numbers
_SUMMED = ("amount", "points")

Node = dict[str, Any]


def own_type(located: Located, name: str, file: str) -> OwnType:
    """The event type that a schema file declares; raises ContentError with every problem."""
    return _Compiler(located, name).own_type(file)


class _Compiler:
    """Compiles one file, collecting its problems."""

    def __init__(self, located: Located, name: str) -> None:
        self.located, self.name = located, name
        self.problems: list[Problem] = []
        # references that are being followed
        self.following: tuple[str, ...] = ()

    def own_type(self, file: str) -> OwnType:
        top = self.located.value
        if not isinstance(top, dict) or top.get("type") != "object" or not isinstance(top.get("properties"), dict):
            self._problem("the data of an event is an object", 'write `"type": "object"` with `"properties"`')
            raise ContentError(self.problems)
        self._beside(top, "object", ())
        kind = self._struct(top, (), self.name, Data)
        if self.problems or kind is None:
            raise ContentError(self.problems)
        return OwnType(file, kind, self._example(top, kind))

    def _example(self, top: Node, kind: type[Data]) -> Node:
        examples = top.get("examples")
        if not isinstance(examples, list) or not examples:
            cure = 'add `"examples": [{…}]`, best with every field: texts and conditions are tried on the first'
            self._problem("there is no example of its data", cure)
            raise ContentError(self.problems)
        for i in range(len(examples)):
            try:
                convert(self.located, kind, at=("examples", i))
            except ContentError as error:
                self.problems.extend(error.problems)
        if self.problems:
            raise ContentError(self.problems)
        first: Node = examples[0]
        return first

    def _struct(self, node: Node, at: Steps, name: str, base: type[Struct] | None = None) -> Any:
        """The class of an object whose fields are named; None where it has a problem."""
        before = len(self.problems)
        properties = node["properties"]
        required = self._required(node, at)
        if len(properties) > MAX_FIELDS:
            self._problem(f"more than {MAX_FIELDS} fields", "send less, or a map", *at, "properties")
            return None
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for field, schema in properties.items():
            here = (*at, "properties", field)
            if not FIELD.fullmatch(field) or hasattr(Data, field):
                cure = "a field is called by letters, digits and underscores, such as booking_id"
                self._problem(f"`{field}` can't be the name of a field", cure, *here)
                continue
            kind = self._kind(schema, here, f"{name}-{field}")
            if field in required:
                fields.append((field, kind))
            elif isinstance(schema, dict) and schema.get("default") is not None:
                fields.append((field, kind, self._default(kind, schema["default"], here)))
            else:
                fields.append((field, kind | None, None))
        if len(self.problems) > before:
            return None
        summed = "" if base is None else next((each for each in _SUMMED if self._whole(properties.get(each))), "")
        return self._made(
            lambda: msgspec.defstruct(
                name,
                fields,
                bases=None if base is None else (base,),
                namespace={
                    "__doc__": str(node.get("description") or node.get("title") or name),
                    # which of them are about a person, only the project knows
                    "__repr__": hiding(*[field[0] for field in fields]),
                    **({"summed": summed} if summed else {}),
                },
                module=__name__,
                frozen=True,
                kw_only=True,
                forbid_unknown_fields=True,
                omit_defaults=base is not None,
            ),
            at,
        )

    def _required(self, node: Node, at: Steps) -> list[str]:
        required, properties = node.get("required", []), node["properties"]
        if not isinstance(required, list) or not all(isinstance(field, str) for field in required):
            self._problem("`required` is a list of fields", "", *at, "required")
            return []
        for i, field in enumerate(required):
            if field not in properties:
                self._problem(f"`{field}` is none of the fields", nearest(field, properties), *at, "required", i)
        return required

    def _default(self, kind: Any, default: object, at: Steps) -> Any:
        if isinstance(default, dict | list):
            self._problem("a default is a single value", "leave it out, or make the field required", *at, "default")
            return None
        try:
            return convert(self.located, kind, at=(*at, "default"))
        except ContentError as error:
            self.problems.extend(error.problems)
            return None

    @staticmethod
    def _whole(schema: Any) -> bool:
        return isinstance(schema, dict) and schema.get("type") == "integer"

    def _kind(self, node: Any, at: Steps, name: str) -> Any:
        """What a value of this schema is read into; Any where it has a problem."""
        ways = [way for way in _WAYS if isinstance(node, dict) and way in node]
        if not ways:
            self._problem("it says nothing of its type", 'write one, such as `"type": "string"`', *at)
            return Any
        way = ways[0]
        if way == "$ref":
            return self._referred(node, at, name)
        if way == "anyOf":
            self._only(node, ("anyOf",), at)
            options = node["anyOf"] if isinstance(node["anyOf"], list) and node["anyOf"] else [None]
            return self._any([self._kind(each, (*at, "anyOf", i), name) for i, each in enumerate(options)], at)
        if way in ("enum", "const"):
            return self._words(node, way, at)
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        for kind in kinds:
            if not isinstance(kind, str) or kind not in _BESIDE:
                self._problem(f"`{kind}` is no type", nearest(kind, _BESIDE), *at, "type")
                return Any
        plain = [kind for kind in kinds if kind != "null"]
        self._beside(node, plain[0] if len(plain) == 1 else "null", at)
        return self._any([None if kind == "null" else self._of_type(node, kind, at, name) for kind in kinds], at)

    def _of_type(self, node: Node, kind: str, at: Steps, name: str) -> Any:
        if kind == "boolean":
            return bool
        if kind == "string":
            return self._text(node, at)
        if kind in ("integer", "number"):
            return self._number(node, kind, at)
        if kind == "array":
            return self._list(node, at, name)
        if isinstance(node.get("properties"), dict):
            return self._struct(node, at, name) or Any
        return self._map(node, at, name)

    def _text(self, node: Node, at: Steps) -> Any:
        if "format" in node:
            given = str(node["format"])
            if given not in _FORMATS:
                cure = f"{nearest(given, _FORMATS)}; for others write a `pattern`"
                self._problem(f"the format `{given}` is not checked", cure, *at, "format")
                return Any
            for key in ("minLength", "maxLength", "pattern"):
                if key in node:
                    self._problem(f"`{key}` beside a format is not checked", "leave it out", *at, key)
            return _FORMATS[given]
        meta: dict[str, Any] = {"max_length": self._size(node, "maxLength", MAX_TEXT, MOST_TEXT, at)}
        if "minLength" in node:
            meta["min_length"] = self._size(node, "minLength", 0, MOST_TEXT, at)
        if "pattern" in node:
            meta["pattern"] = node["pattern"]
        return self._made(lambda: Annotated[str, Meta(**meta)], at)

    def _number(self, node: Node, kind: str, at: Steps) -> Any:
        meta: dict[str, Any] = {}
        for key, named in _META.items():
            if key not in node:
                continue
            bound = node[key]
            if isinstance(bound, bool) or not isinstance(bound, int if kind == "integer" else int | float):
                self._problem(f"`{key}` of {kind} must be such a number itself", "", *at, key)
                return Any
            meta[named] = bound
        if kind == "integer":
            meta |= {} if "ge" in meta or "gt" in meta else {"ge": -EXACT}
            meta |= {} if "le" in meta or "lt" in meta else {"le": EXACT}
        base: Any = int if kind == "integer" else float
        return self._made(lambda: Annotated[base, Meta(**meta)], at) if meta else base

    def _list(self, node: Node, at: Steps, name: str) -> Any:
        if "items" not in node:
            self._problem("it says nothing of its items", 'add `"items": {"type": …}`', *at)
            return Any
        item: Any = self._kind(node["items"], (*at, "items"), name)
        meta: dict[str, Any] = {"max_length": self._size(node, "maxItems", MAX_ITEMS, MOST_ITEMS, at)}
        if "minItems" in node:
            meta["min_length"] = self._size(node, "minItems", 0, MOST_ITEMS, at)
        return self._made(lambda: Annotated[tuple[item, ...], Meta(**meta)], at)

    def _map(self, node: Node, at: Steps, name: str) -> Any:
        if not isinstance(node.get("additionalProperties"), dict):
            cure = (
                'write `"properties"`, or `"additionalProperties": {"type": …}` for names that are not known beforehand'
            )
            self._problem("it says nothing of its fields", cure, *at)
            return Any
        item = self._kind(node["additionalProperties"], (*at, "additionalProperties"), name)
        most = self._size(node, "maxProperties", MAX_ITEMS, MOST_ITEMS, at)
        key = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
        return self._made(lambda: Annotated[dict[key, item], Meta(max_length=most)], at)  # type: ignore[valid-type]  # made here

    def _words(self, node: Node, way: str, at: Steps) -> Any:
        self._only(node, (way, "type"), at)
        words = node["enum"] if way == "enum" else [node["const"]]
        if not isinstance(words, list) or not words:
            self._problem("`enum` is a list of words", "", *at, way)
            return Any
        kinds = node.get("type", list(_JSON))
        fits = tuple(_JSON[kind] for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in _JSON)
        if any(isinstance(word, bool) or not isinstance(word, fits) for word in words):
            self._problem(f"`{way}` is of texts or whole numbers, as its type says", "", *at, way)
            return Any
        return self._made(lambda: Literal[tuple(words)], at)

    def _referred(self, node: Node, at: Steps, name: str) -> Any:
        self._only(node, ("$ref",), at)
        target = str(node["$ref"])
        known = self.located.value.get("$defs", {}) if isinstance(self.located.value, dict) else {}
        there = target.removeprefix("#/$defs/")
        if not target.startswith("#/$defs/") or there not in known:
            names = [f"#/$defs/{each}" for each in known]
            self._problem(f"`{target}` is not in this file", nearest(target, names), *at, "$ref")
            return Any
        if target in self.following:
            self._problem(f"`{target}` holds itself", "what is nested without end can't be an event", *at, "$ref")
            return Any
        outer, self.following = self.following, (*self.following, target)
        try:
            return self._kind(known[there], ("$defs", there), name)
        finally:
            self.following = outer

    def _any(self, kinds: list[Any], at: Steps) -> Any:
        """Any one of these."""
        if len(kinds) == 1:
            return kinds[0]
        return self._made(lambda: Union[tuple(kinds)], at)  # noqa: UP007  # of types that are made here

    def _made(self, make: Callable[[], Any], at: Steps) -> Any:
        """What `make` gives, if a value can be read into it; Any where it can't."""
        try:
            kind = make()
            msgspec.json.Decoder(kind)
        except (TypeError, ValueError, re.error) as error:
            self._problem(f"it can't be read: {str(error).partition(' (')[0]}", "", *at)
            return Any
        return kind

    def _size(self, node: Node, key: str, otherwise: int, most: int, at: Steps) -> int:
        size = node.get(key, otherwise)
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= most:
            self._problem(f"`{key}` is a whole number from 0 to {most}", "", *at, key)
            return otherwise
        return size

    def _beside(self, node: Node, kind: str, at: Steps) -> None:
        self._only(node, ("type", *_BESIDE[kind]), at)
        extra = node.get("additionalProperties", False)
        if kind == "object" and "properties" in node and extra is not False:
            cure = "write `false`, or leave it out"
            self._problem("an unknown field is always refused", cure, *at, "additionalProperties")

    def _only(self, node: Node, known: tuple[str, ...], at: Steps) -> None:
        """Whatever else the schema asks for would not be checked."""
        for key in node:
            if key not in known and key not in _SAID and not key.startswith("x-"):
                self._problem(f"`{key}` would not be checked here", nearest(key, known), *at, key)

    def _problem(self, what: str, cure: str, *at: str | int) -> None:
        fields = [name for before, name in pairwise(at) if before == "properties"]
        self.problems.append(self.located.problem(f"`{fields[-1]}`: {what}" if fields else what, cure, at=at))
