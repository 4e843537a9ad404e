"""The settings file that `init` writes tells the whole truth about settings.py."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from orchestrator.settings import FILE, Settings, load
from orchestrator.starter import sentences_of, settings_file


def each_setting(values: Struct, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object, str]]:
    """(path, default, sentence) of each setting."""
    sentences = sentences_of(type(values))
    for name, value in msgspec.structs.asdict(values).items():
        if isinstance(value, Struct):
            yield from each_setting(value, (*path, name))
        else:
            yield (*path, name), value, sentences[name]


SETTINGS = list(each_setting(Settings()))


@pytest.mark.parametrize(("path", "default", "sentence"), SETTINGS, ids=[".".join(path) for path, _, _ in SETTINGS])
def test_a_setting_stands_in_the_starter_with_its_default_and_its_sentence(
    path: tuple[str, ...], default: object, sentence: str
) -> None:
    text = settings_file()
    found: object = tomllib.loads(text)
    for name in path:
        assert isinstance(found, dict)
        found = found[name]
    assert default == found
    assert sentence, f"settings.py has no comment above {path[-1]}"
    assert sentence in " ".join(text.replace("\n# ", " ").split())


def test_the_starters_settings_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(settings_file(), encoding="utf-8")
    assert Settings() == load(tmp_path)


def test_a_setting_added_to_the_types_appears_in_the_file_by_itself() -> None:
    assert len(SETTINGS) == sum(
        1 for line in settings_file().splitlines() if " = " in line and not line.startswith("#")
    ) - (len(Settings().dispatch.adapters) - 1)
