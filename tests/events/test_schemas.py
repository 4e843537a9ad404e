"""The files in `schemas/events/` say what the types say, and each example is what its schema and our reader take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from referencing import Registry, Resource

from orchestrator.content.files import read_yaml
from orchestrator.events.envelope import read_event
from orchestrator.events.schemas import event_schemas
from orchestrator.events.types import EVENT_TYPES
from orchestrator.ingest.write_schemas import texts, write

SCHEMAS = Path(__file__).parents[2] / "schemas"
EXAMPLES = SCHEMAS / "events" / "examples"


def validator(name: str) -> Draft202012Validator:
    """A validator of a schema as it lies on disk, with its neighbours at hand."""
    on_disk = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (SCHEMAS / "events").glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        (file, Resource.from_contents(schema)) for file, schema in on_disk.items()
    )
    return Draft202012Validator(on_disk[name], registry=registry, format_checker=FormatChecker())


def example(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def test_the_files_are_what_the_types_say() -> None:
    """Cure: python -m orchestrator.ingest.write_schemas"""
    on_disk = {name: (SCHEMAS / name).read_text(encoding="utf-8") for name in texts()}
    assert texts() == on_disk


def test_no_schema_is_left_over_from_a_type_that_is_gone() -> None:
    assert set(event_schemas()) == {path.name for path in (SCHEMAS / "events").glob("*.json")}


def test_each_type_has_one_example() -> None:
    assert set(EVENT_TYPES) == {path.stem for path in EXAMPLES.glob("*.json")}


POLICIES = Path(__file__).parents[2] / "channel_policies"


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("policy", [path for path in POLICIES.glob("*.yaml") if not path.name.endswith(".cases.yaml")]),
        ("law_pack", [*POLICIES.glob("laws/*/pack.yaml")]),
        ("journey", [*(POLICIES.parent / "templates").glob("*/journey.yaml")]),
    ],
)
def test_what_ships_is_as_its_schema_says_and_a_misspelt_word_is_not(schema: str, files: list[Path]) -> None:
    """Editors that are given the schema find what we would find."""
    told = json.loads((SCHEMAS / "content" / f"{schema}.v1.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(told)
    assert files
    for path in files:
        words = msgspec.to_builtins(read_yaml(path, path.name).value)
        Draft202012Validator(told).validate(words)
        with pytest.raises(ValidationError):
            Draft202012Validator(told).validate({**words, "misspelt": True})


@pytest.mark.parametrize("name", list(event_schemas()))
def test_each_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(event_schemas()[name])


@pytest.mark.parametrize("name", list(EVENT_TYPES))
class TestExample:
    def test_its_envelope_and_data_are_as_the_schemas_say(self, name: str) -> None:
        validator("envelope.v1.json").validate(example(name))
        validator(f"{name}.v1.json").validate(example(name)["data"])

    def test_it_is_read(self, name: str) -> None:
        event = read_event((EXAMPLES / f"{name}.json").read_bytes())
        assert (name, "m-1001") == (event.type, event.subject)

    def test_it_shows_every_field_that_must_be_there(self, name: str) -> None:
        assert set(event_schemas()[f"{name}.v1.json"].get("required", [])) <= set(example(name)["data"])

    def test_an_unknown_field_is_refused_through_the_envelope(self, name: str) -> None:
        wrong = example(name)
        wrong["data"]["colour_of_socks"] = "red"
        with pytest.raises(ValidationError):
            validator("envelope.v1.json").validate(wrong)


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert len(texts()) == write(tmp_path)
    assert 0 == write(tmp_path)
