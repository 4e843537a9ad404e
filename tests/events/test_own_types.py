"""What a project's schema of an event type may say, what then holds, and what is an error with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from orchestrator.content.event_types import load_event_types, read_event_types
from orchestrator.content.locate import shipped
from orchestrator.errors import ContentError, Unreadable
from orchestrator.events.catalogue import EventTypes
from orchestrator.events.envelope import read_event, write_event
from orchestrator.events.schemas import event_schemas
from orchestrator.testing.builders import event
from tests.own_types import declare

NOON = "2026-11-24T11:00:00Z"
NAME = "stay.booked"


def of(properties: dict[str, Any], *examples: object, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "examples": list(examples) or [{}], **more}


def problems(folder: Path, schema: object, file: str = f"{NAME}.v1.json") -> list[str]:
    """Each problem without the folder, as `line:column what`."""
    with pytest.raises(ContentError) as caught:
        load_event_types(declare(folder, "", schema, file))
    return [f"{each.line}:{each.column} {each.what}" for each in caught.value.problems]


def answer(types: EventTypes, data: object) -> str:
    """ "" where the data is taken, else the reason and the first words of the cure."""
    envelope = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": NAME,
        "subject": "m",
        "time": NOON,
        "data": data,
    }
    try:
        given = read_event(json.dumps(envelope).encode(), types)
    except Unreadable as error:
        return f"{error.reason} {error.cure.removesuffix(f'; see schemas/events/{NAME}.v1.json')}"
    assert given == read_event(write_event(given), types)
    return ""


# (schema of one field, values that are taken, values that are not)
WHOLE = {"type": "integer"}
FIELDS: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "text": ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "abc", None], ["a", "abcd", 1]),
    "text without a bound": ({"type": "string"}, ["", "a" * 500], ["a" * 501]),
    "pattern": ({"type": "string", "pattern": "^[A-Z]{2}[0-9]$"}, ["AB1"], ["ab1", "AB12"]),
    "date": ({"type": "string", "format": "date"}, ["2026-12-31"], ["2026-13-01", "31.12.2026"]),
    "instant": ({"type": "string", "format": "date-time"}, [NOON], ["2026-11-24T11:00:00", "noon"]),
    "whole number": ({"type": "integer", "minimum": 0, "exclusiveMaximum": 3}, [0, 2], [-1, 3, 1.5, "1"]),
    "whole number without a bound": (WHOLE, [2**53 - 1, 1 - 2**53], [2**53, -(2**53)]),
    "multiple": ({"type": "integer", "multipleOf": 5}, [10], [11]),
    "number": ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, [0.5, 1], [0, 1.01]),
    "truth": ({"type": "boolean"}, [True, False], [1, "true"]),
    "words": ({"enum": ["single", "double"]}, ["single"], ["Single", 1]),
    "one word": ({"const": 2}, [2], [3, "2"]),
    "either": ({"type": ["string", "integer"]}, ["a", 1], [1.5, True]),
    "as the engine writes it": (
        {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]},
        ["a", None],
        ["abc"],
    ),
    "list": (
        {"type": "array", "items": WHOLE, "minItems": 1, "maxItems": 2},
        [[1], [1, 2]],
        [[], [1, 2, 3], ["a"]],
    ),
    "object": (
        {"type": "object", "properties": {"kind": {"type": "string"}, "floor": WHOLE}, "required": ["kind"]},
        [{"kind": "a"}, {"kind": "a", "floor": None}],
        [{}, {"kind": "a", "wing": 1}, {"kind": None}],
    ),
    "map": (
        {"type": "object", "additionalProperties": WHOLE, "maxProperties": 2},
        [{}, {"a": 1}],
        [{"a": "x"}, {"a": 1, "b": 2, "c": 3}],
    ),
    "reference": ({"$ref": "#/$defs/money"}, [{"minor": 1}], [{"minor": -1}, 1]),
    "a name of Python's": ({"type": "string"}, ["a"], [1]),
}
DEFS = {"money": {"type": "object", "properties": {"minor": {"type": "integer", "minimum": 0}}, "required": ["minor"]}}


@pytest.mark.parametrize("name", FIELDS)
def test_what_a_field_may_hold_is_what_its_schema_says(tmp_path: Path, name: str) -> None:
    """And the schema that is told to others (OpenAPI, AsyncAPI) takes the same values."""
    schema, good, bad = FIELDS[name]
    field = "class" if name.startswith("a name") else "x"
    types = load_event_types(declare(tmp_path, NAME, of({field: schema}, **{"$defs": DEFS})))
    told = event_schemas(types)[f"{NAME}.v1.json"]
    validator = Draft202012Validator(told, format_checker=FormatChecker())
    for value in good:
        assert "" == answer(types, {field: value}), value
        assert validator.is_valid({field: value}), value
    for value in bad:
        refused = answer(types, {field: value})
        assert refused.startswith("bad_data"), value
        assert f"$.{field}" in refused, refused
        # the reference implementation checks no `date-time`, and takes 1 for true nowhere
        assert "format" in schema or not validator.is_valid({field: value}), value


def test_a_field_is_required_or_none_or_its_default_and_an_unknown_one_is_refused_by_name(tmp_path: Path) -> None:
    schema = of({"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "integer", "default": 3}},
                {"a": "x"}, required=["a"])  # fmt: skip
    types = load_event_types(declare(tmp_path, NAME, schema))
    assert "bad_data Object missing required field `a`" == answer(types, {"b": 1})
    assert "bad_data Object contains unknown field `d`" == answer(types, {"a": "x", "d": 1})
    data = event(NAME, "m", NOON, {"a": "x"}, types=types).data
    assert {"a": "x", "b": None, "c": 3} == {name: getattr(data, name) for name in data.__struct_fields__}
    assert b'{"a":"x"}' == msgspec.json.encode(data)
    assert "x" not in repr(data).replace("stay.booked", "")


@pytest.mark.parametrize(
    ("properties", "summed"),
    [
        ({"amount": {"type": "integer"}, "points": {"type": "integer"}}, "amount"),
        ({"amount": {"type": "number"}, "points": {"type": "integer"}}, "points"),
        ({"nights": {"type": "integer"}}, ""),
    ],
    ids=["amount", "points", "none"],
)
def test_a_whole_number_called_amount_or_points_is_what_sums_add_up(
    tmp_path: Path, properties: dict[str, Any], summed: str
) -> None:
    assert summed == load_event_types(declare(tmp_path, NAME, of(properties))).kinds[NAME].summed


# what is wrong with one field's schema -> what is said, at its line and column
TEXT = {"type": "string"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no type": ({}, "5:3 it says nothing of its type"),
    "a word that is no type": ({"type": "strin"}, "6:5 `strin` is no type"),
    "a keyword that is not checked": (
        {"type": "array", "items": TEXT, "uniqueItems": True},
        "10:5 `uniqueItems` would not be checked here",
    ),
    "a keyword of another type": ({**TEXT, "minimum": 1}, "7:5 `minimum` would not be checked here"),
    "a format that is not checked": ({**TEXT, "format": "email"}, "7:5 the format `email` is not checked"),
    "a bound beside a format": (
        {**TEXT, "format": "date", "maxLength": 9},
        "8:5 `maxLength` beside a format is not checked",
    ),
    "a bound that is no number": (
        {"type": "integer", "minimum": "0"},
        "7:5 `minimum` of integer must be such a number itself",
    ),
    "a pattern that is none": (
        {**TEXT, "pattern": "("},
        "5:3 it can't be read: missing ), unterminated subpattern at position 0",
    ),
    "too long": ({**TEXT, "maxLength": 10_001}, "7:5 `maxLength` is a whole number from 0 to 10000"),
    "a list of anything": ({"type": "array"}, "5:3 it says nothing of its items"),
    "an object of anything": ({"type": "object"}, "5:3 it says nothing of its fields"),
    "unknown fields": (
        {"type": "object", "properties": {}, "additionalProperties": True},
        "8:5 an unknown field is always refused",
    ),
    "what can't be told apart": (
        {"anyOf": [TEXT, {**TEXT, "format": "date"}]},
        "5:3 it can't be read: Type unions may not contain more than one str-like type",
    ),
    "words of another type": (
        {"type": "integer", "enum": ["a"]},
        "7:5 `enum` is of texts or whole numbers, as its type says",
    ),
    "no words": ({"enum": []}, "6:5 `enum` is a list of words"),
    "a reference to nowhere": ({"$ref": "#/$defs/room"}, "6:5 `#/$defs/room` is not in this file"),
    "a default that does not fit": (
        {"type": "integer", "default": "a"},
        "7:5 `default`: must be a whole number, not text (it says `a`)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_line_and_column(tmp_path: Path, name: str) -> None:
    schema, said = WRONG[name]
    head = '{\n "type": "object",\n "examples": [{}],\n "properties": {\n  "x": '
    found = problems(tmp_path, head + json.dumps(schema, indent=1).replace("\n", "\n   ") + "\n }\n}\n")
    assert [said] == [each.replace("`x`: ", "") for each in found]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    schema = of({"a": {}, "b-c": {"type": "string"}, "summed": {"type": "string"}}, required=["z"])
    assert 4 == len(problems(tmp_path, schema))
    declare(tmp_path, "", of({"a": {"type": "tex"}}), "stay.paid.v1.json")
    types, found = read_event_types(tmp_path / "schemas")
    assert 5 == len(found)
    # who names them names something: no journey is blamed for them
    assert {NAME, "stay.paid"} <= set(types.names)
    assert not {NAME, "stay.paid"} & set(types.kinds)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{", "1:2 no JSON: Expecting property name enclosed in double quotes"),
        ('{"type": "object",\n\t"type": "object"}', "2:2 `type` stands twice, first on line 1"),
        ("[]", "1:0 the data of an event is an object"),
        ({"type": "string"}, "1:0 the data of an event is an object"),
        (of({"a": {"type": "string"}}) | {"examples": []}, "1:0 there is no example of its data"),
        (of({"a": {"type": "integer"}}, {"a": "x"}), "10:4 `a`: must be a whole number, not text (it says `x`)"),
        (of({"a": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}),
         "15:5 `#/$defs/a` holds itself"),
    ],
    ids=["no JSON", "twice", "a list", "no object", "no example", "an example that does not fit", "a circle"],
)  # fmt: skip
def test_a_file_that_is_no_schema_of_an_event(tmp_path: Path, schema: object, said: str) -> None:
    found = problems(tmp_path, schema)
    assert [said] == [each.replace(": line", "").partition(" column")[0] for each in found]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("purchase.completed.v1.json", "2:2 `purchase.completed` is the engine's own, and a project can't change it"),
        ("purchase.completed.v2.json", "2:2 `purchase.completed` is the engine's own, and a project can't change it"),
        ("envelope.v1.json", "2:2 `envelope` is the engine's own, and a project can't change it"),
        ("booking.v1.json", "2:2 a schema is called by its type: <type>.v<n>.json"),
        ("Stay.Booked.v1.json", "2:2 a schema is called by its type: <type>.v<n>.json"),
        ("stay.booked.json", "2:2 a schema is called by its type: <type>.v<n>.json"),
        ("stay_booked.v2.json", "2:2 a schema is called by its type: <type>.v<n>.json"),
        ("stay.booked.v2.json", "2:2 `stay.booked` is declared by stay.booked.v1.json already"),
        ("purchase.com_pleted.v1.json", ""),
        ("points.ex.piring.v1.json", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_type(tmp_path: Path, file: str, said: str) -> None:
    declare(tmp_path, NAME, of({"a": {"type": "string"}}))
    declare(tmp_path, "", of({"a": {"type": "string"}}), file)
    _, found = read_event_types(tmp_path / "schemas")
    assert ([said] if said else []) == [f"{each.line}:{each.column} {each.what}" for each in found]


def test_two_types_never_share_their_figures(tmp_path: Path) -> None:
    """Conditions write `aggregates.a_b_c`, whichever dots were meant."""
    declare(tmp_path, "", of({"a": {"type": "string"}}), "stay.be_paid.v1.json")
    found = problems(tmp_path, of({"a": {"type": "string"}}), "stay.be.paid.v1.json")
    assert ["2:2 `stay.be_paid` and `stay.be.paid` have the same figures"] == found


def test_what_the_engine_wrote_describes_and_changes_nothing_and_a_copy_that_was_edited_is_found(
    tmp_path: Path,
) -> None:
    source = shipped("schemas") / "events"
    for path in source.glob("*.json"):
        declare(tmp_path, "", path.read_text(encoding="utf-8"), path.name)
    assert {} == load_event_types(tmp_path).own
    # laid out anew it says the same; with a field more it does not
    tier = json.loads((source / "tier.changed.v1.json").read_text(encoding="utf-8"))
    declare(tmp_path, "", json.dumps(tier), "tier.changed.v1.json")
    assert {} == load_event_types(tmp_path).own
    tier["properties"]["why"] = {"type": "string"}
    assert ["2:2 `tier.changed` is the engine's own, and a project can't change it"] == problems(
        tmp_path, tier, "tier.changed.v1.json"
    )


def test_an_unedited_copy_under_another_name_is_a_type_without_an_example(tmp_path: Path) -> None:
    text = (shipped("schemas") / "events/tier.changed.v1.json").read_text(encoding="utf-8")
    assert ["1:0 there is no example of its data"] == problems(tmp_path, text, "level.changed.v1.json")
