"""A wrong mapping is refused before the first row, with file, line and cure, and all that is wrong at once."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from orchestrator.content.files import read_yaml
from orchestrator.errors import ContentError, UsageError
from orchestrator.ingest.find import find_mapping
from orchestrator.ingest.load import load_mapping

SOURCES = Path(__file__).parents[2] / "schemas" / "sources"
GOOD = """\
source: /till
format: csv
zone: America/New_York
columns:
  receipt: {type: text}
  card: {type: text}
  at: {type: datetime}
  total: {type: money, currency: USD}
key: [receipt]
subject: card
time: at
let:
  big: total > 1000
emit:
  - type: purchase.completed
    when: big
    data:
      purchase_id: =receipt
      amount: =total
      currency: USD
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "a.map.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContentError) as caught:
        load_mapping(path, "a.map.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_good_one_is_good(tmp_path: Path) -> None:
    (tmp_path / "a.map.yaml").write_text(GOOD, encoding="utf-8")
    assert "/till" == load_mapping(tmp_path / "a.map.yaml").mapping.source


@pytest.mark.parametrize(
    "path", sorted(SOURCES.rglob("*.map.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_each_shipped_mapping_is_good_and_says_what_is_a_stand_in(path: Path) -> None:
    assert load_mapping(path).mapping.note


@pytest.mark.parametrize(
    "path", sorted(SOURCES.rglob("*.map.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_each_shipped_mapping_is_as_the_schema_for_editors_says(path: Path) -> None:
    schema = json.loads((SOURCES.parent / "content" / "source_mapping.v1.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(msgspec.to_builtins(read_yaml(path).value))


def test_the_example_of_the_readme_is_good(tmp_path: Path) -> None:
    text = (SOURCES / "README.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```", maxsplit=1)[0]
    (tmp_path / "a.map.yaml").write_text(text, encoding="utf-8")
    assert ("receipt",) == load_mapping(tmp_path / "a.map.yaml").mapping.key


def test_the_readme_lists_each_shipped_mapping() -> None:
    text = (SOURCES / "README.md").read_text(encoding="utf-8")
    for path in SOURCES.rglob("*.map.yaml"):
        assert f"| `{path.relative_to(SOURCES).as_posix().removesuffix('.map.yaml')}` |" in text


@pytest.mark.parametrize(
    ("line", "word", "old", "new"),
    [
        (3, "no time zone", "America/New_York", "America/Gotham"),
        (2, "csv", "format: csv", "format: xls"),
        (5, "`typ` is not known", "receipt: {type: text}", "receipt: {typ: text}"),
        (5, "not text", "receipt: {type: text}", "receipt: {type: text, round: up}"),
        (8, "needs its currency", "{type: money, currency: USD}", "{type: money}"),
        (8, "bounds", "currency: USD}", "currency: USD, min: low}"),
        (7, "no time zone", "{type: datetime}", "{type: datetime, zone: Gotham}"),
        (9, "`recept` is no column (did you mean `receipt`", "key: [receipt]", "key: [recept]"),
        (10, "`cart` is no column", "subject: card", "subject: cart"),
        (11, "no column of type datetime", "time: at", "time: total"),
        (11, "either `of`", "time: at", "time: {of: at, year: 2017, month: 1}"),
        (11, "either `of`", "time: at", "time: {shift: PT1S}"),
        (11, "no duration", "time: at", "time: {of: at, shift: -P1M}"),
        (11, "needs an offset", "time: at", "time: {at: '2017-01-01T00:00:00'}"),
        (13, "`totl` is no column", "big: total > 1000", "big: totl > 1000"),
        (13, "in the expression", "big: total > 1000", "big: total >"),
        (13, "calls are not offered", "big: total > 1000", "big: total.bit_length()"),
        (13, "`big` is no column and no value of `let` above", "big: total > 1000", "big: big > 1000"),
        (13, "is a column already", "big: total > 1000", "card: total > 1000"),
        (15, "`purchase.complete` (did you mean `purchase.completed`", "purchase.completed", "purchase.complete"),
        (16, "`bigg` is no column", "when: big", "when: bigg"),
        (18, "`purchase` is no field", "purchase_id: =receipt", "purchase: =receipt"),
        (17, "`purchase_id` is missing", "      purchase_id: =receipt\n", ""),
        (19, "must be a whole number, not text", "amount: =total", "amount: total"),
        (20, "must be ISO 4217: three capital letters", "      currency: USD", "      currency: dollars"),
        (1, "`emit` is missing", GOOD[GOOD.index("emit:") :], ""),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: int, word: str, old: str, new: str) -> None:
    found = problems(tmp_path, GOOD.replace(old, new))
    assert any(problem.startswith(f"a.map.yaml:{line}:") and word in problem for problem in found), found


def test_all_problems_are_told_at_once_in_order(tmp_path: Path) -> None:
    text = GOOD.replace("key: [receipt]", "key: [recept]").replace("when: big", "when: huge").replace("America", "X")
    assert ["a.map.yaml:3", "a.map.yaml:9", "a.map.yaml:16"] == [
        ":".join(problem.split(":")[:2]) for problem in problems(tmp_path, text)
    ]


def test_a_mistake_inside_a_list_is_named_with_its_line(tmp_path: Path) -> None:
    text = GOOD.split("emit:", maxsplit=1)[0] + (
        "emit:\n  - type: member.enrolled\n    data:\n      consents:\n"
        "        - when: total > nothing\n          channel: pigeon\n          wording: w\n          method: m\n"
        "          evidence: =evidense\n          colour: red\n"
    )
    found = problems(tmp_path, text)
    assert ["18", "19", "22", "23"] == [problem.split(":")[1] for problem in found], found


def test_a_name_finds_the_projects_own_mapping_before_the_shipped_one(tmp_path: Path) -> None:
    assert SOURCES / "airline/members.map.yaml" == find_mapping("airline/members", tmp_path)
    own = tmp_path / "schemas/sources/airline/members.map.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(GOOD, encoding="utf-8")
    assert own == find_mapping("airline/members", tmp_path)
    assert own == find_mapping(str(own), tmp_path)


def test_a_name_nobody_has_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean `complete-journey/baskets`"):
        find_mapping("complete-journey/basket", tmp_path)
