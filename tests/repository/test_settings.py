"""The settings file that `init` writes tells the whole truth about settings.py."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from orchestrator.errors import SetupError
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
# the file as a project gets it; writing it reads the source of every type of settings
STARTER = settings_file()
VALUES = tomllib.loads(STARTER)
WORDS = " ".join(STARTER.replace("\n# ", " ").split())


@pytest.mark.parametrize(("path", "default", "sentence"), SETTINGS, ids=[".".join(path) for path, _, _ in SETTINGS])
def test_a_setting_stands_in_the_starter_with_its_default_and_its_sentence(
    path: tuple[str, ...], default: object, sentence: str
) -> None:
    found: object = VALUES
    for name in path:
        assert isinstance(found, dict)
        found = found[name]
    assert default == found
    assert sentence, f"settings.py has no comment above {path[-1]}"
    assert sentence in WORDS


def test_the_starters_settings_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(STARTER, encoding="utf-8")
    assert Settings() == load(tmp_path)


def test_a_setting_added_to_the_types_appears_in_the_file_by_itself() -> None:
    assert len(SETTINGS) == sum(1 for line in STARTER.splitlines() if " = " in line and not line.startswith("#")) - sum(
        len(default) - 1 for _, default, _ in SETTINGS if isinstance(default, dict)
    )


@pytest.mark.parametrize(
    ("was", "written", "told"),
    [
        ("locale =", "locale = 3", ":{}: `locale`: must be text, not a whole number (it says `3`)"),
        ("locale =", 'lokale = "en"', ":{}: `lokale` is not known here (did you mean `locale`?"),
        ("partitions =", "partitions = 0", ":{}: `partitions`: must be at least 1 (it says `0`)"),
        ("profile =", 'profile = "strict"', ":{}: `profile`: `strict` is not known here (there is: compliant, "),
        ("lease_s =", "lease_s = sixty", ":{}:11: no TOML: Invalid value (texts stand in quotes"),
        ("[kafka]", '[kafka]\nsecurity = "sasl"\n[x]', ':{}: `kafka`: security "sasl" sends the login without TLS'),
    ],
)
def test_a_wrong_setting_is_told_with_its_line_and_its_cure(tmp_path: Path, was: str, written: str, told: str) -> None:
    lines = STARTER.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(was))
    lines[at] = written
    (tmp_path / FILE).write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SetupError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / FILE}{told.format(at + 1)}")


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("locale = 1\n[store]\nurl = 2\npartitions = 0\n", encoding="utf-8")
    with pytest.raises(SetupError) as caught:
        load(tmp_path)
    places = [line.removeprefix(str(tmp_path)).split(": ")[0] for line in str(caught.value).splitlines()]
    assert [f"/{FILE}:1", f"/{FILE}:3", f"/{FILE}:4"] == places


@pytest.mark.parametrize(("value", "told"), [("99", "must be at most 7 (it says `99`)"), ("few", "not text")])
def test_a_wrong_variable_of_the_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    (tmp_path / FILE).write_text("", encoding="utf-8")
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_REPLICATION", value)
    with pytest.raises(SetupError, match=r"^ORCHESTRATOR_KAFKA_REPLICATION in the environment: ") as caught:
        load(tmp_path)
    assert told in str(caught.value)


def test_an_unknown_setting_is_told_without_its_value(tmp_path: Path) -> None:
    """Somebody may have written a password there."""
    (tmp_path / FILE).write_text('[dispatch.smtp]\npassword = "geheim"\n', encoding="utf-8")
    with pytest.raises(SetupError, match="`password` is not known here") as caught:
        load(tmp_path)
    assert "geheim" not in str(caught.value)
