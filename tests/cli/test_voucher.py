"""`orchestrator voucher`: files of codes are loaded once, each row that is not taken is told, and no code is shown."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator import starter
from orchestrator.cli.app import app
from orchestrator.content.journeys import load_pools
from orchestrator.content.load import load_content
from orchestrator.errors import ContentError, UsageError
from orchestrator.settings import Settings
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.store_rows import left_in
from orchestrator.vault import KeyFile, Vault
from orchestrator.voucher_files import load

POOLS = "pools:\n  birthday: {low_water: 3, last_day: 2027-12-31, days_left: 14}\n  prizes: {low_water: 0}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starter project with two pools, of which the birthday journey promises one."""
    folder = tmp_path_factory.mktemp("voucher") / "club"
    starter.create(folder)
    (folder / "templates/vouchers.yaml").write_text(POOLS)
    journey = folder / "templates/birthday/journey.yaml"
    journey.write_text(
        journey.read_text().replace("    valid_for: P1D\n", "    valid_for: P1D\n    voucher: birthday\n")
    )
    return folder


def call(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words], env={"COLUMNS": "120"})


def loaded(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_file_is_loaded_once_and_again_adds_nothing(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_text("AAA-1\n\nAAA-2\nAAA-1\n")
    first = call(project, "voucher", "load", "birthday", str(file), "--json")
    assert (0, 3, 2, 1, 0, 2) == (
        first.exit_code, *(loaded(first)[name] for name in ("rows", "added", "known", "refused", "left")),
    )  # fmt: skip
    assert [(4, "twice")] == [(row["line"], row["reason"]) for row in loaded(first)["not_taken"]]
    again = loaded(call(project, "voucher", "load", "birthday", str(file), "--json"))
    assert (0, 3, 2) == (again["added"], again["known"], again["left"])


def test_rows_that_hold_no_code_or_anothers_are_told_with_line_and_cure(project: Path, tmp_path: Path) -> None:
    call(project, "voucher", "load", "birthday", str(written(tmp_path / "one.txt", "SHARED\n")))
    file = written(tmp_path / "codes.csv", 'note;Code\nx;"NEW-1"\ny;SHARED\nz;has space\nshort\n;NEW-2\n')
    told = call(project, "voucher", "load", "prizes", str(file), "--json")
    report = loaded(told)
    assert (1, 5, 2, 0, 3) == (told.exit_code, *(report[name] for name in ("rows", "added", "known", "refused")))
    found = {row["line"]: (row["reason"], row["cure"]) for row in report["not_taken"]}
    assert {3, 4, 5} == set(found)
    assert ("in_another_pool", "it belongs to the pool birthday: a code is given once") == found[3]
    assert {"no_code"} == {found[line][0] for line in (4, 5)}
    shown = call(project, "voucher", "load", "prizes", str(file)).stdout
    assert "in another pool" in shown
    for code in ("NEW-1", "SHARED", "has space"):
        assert code not in shown + told.stdout


def test_gzip_is_read_as_it_is_and_another_column_is_named(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "codes.csv.gz"
    file.write_bytes(gzip.compress("\ufeffserial,used\nGZ-1,no\n".encode()))
    assert 2 == call(project, "voucher", "load", "prizes", str(file)).exit_code
    assert 1 == loaded(call(project, "voucher", "load", "prizes", str(file), "--column", "serial", "--json"))["added"]


def test_a_pool_that_is_not_declared_is_refused_with_the_likely_one(project: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "codes.txt", "ZZZ\n")
    refused = call(project, "voucher", "load", "birthdays", str(file))
    assert 2 == refused.exit_code
    assert "did you mean `birthday`" in refused.stderr
    assert 2 == call(project, "voucher", "load", "birthday", str(tmp_path / "none.txt")).exit_code


def test_status_shows_what_is_left_and_given_and_what_is_low(project: Path, tmp_path: Path) -> None:
    call(project, "voucher", "load", "birthday", str(written(tmp_path / "codes.txt", "ST-1\n")))
    rows = {row["pool"]: row for row in json.loads(call(project, "voucher", "status", "--json").stdout)}
    birthday = rows["birthday"]
    assert birthday["left"] >= 1
    assert (0, 3, "2027-12-31", ["birthday"]) == tuple(
        birthday[name] for name in ("given", "low_water", "last_day", "journeys")
    )
    assert birthday["low"] is (birthday["left"] < 3)
    assert [] == rows["prizes"]["journeys"]
    shown = call(project, "voucher", "status").stdout
    assert "low-water" in shown
    assert "birthday" in shown


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_long_file_is_loaded_in_order_in_transactions_of_a_thousand(tmp_path: Path, project: Path) -> None:
    store, vault = MemoryStore(1), Vault(KeyFile.create(tmp_path / "key"))
    pools = load_pools(project / "templates")
    file = written(tmp_path / "codes.txt", "".join(f"C{i:05}\n" for i in range(2_500)))
    heard: list[int] = []
    report = load(store, vault, pools, "prizes", file, moved=heard.append)
    assert (2_500, 2_500, 3) == (report.rows, report.added, len(heard))
    codes = [vault.open_code(row.code, row.fingerprint) for row in left_in(store, "prizes", 9_999)]
    assert [f"C{i:05}" for i in range(2_500)] == codes
    assert b"C00000" not in left_in(store, "prizes", 1)[0].code
    with pytest.raises(UsageError, match=r"templates/vouchers\.yaml"):
        load(store, vault, {}, "prizes", file)


# --- the file of pools


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("pools:\n  gifts: {low_water: -1}\n", "2:11", "must be at least 0"),
        ("pools:\n  gifts: {low_water: 1, last_dy: 2027-01-01}\n", "2:25", "did you mean `last_day`"),
        ("pools:\n  gifts: {low_water: 1, last_day: soon}\n", "2:25", "a date such as 2026-11-30"),
        ("pools:\n  Gifts: {low_water: 1}\n", "2:3", "small letters"),
        ("pools:\n  gifts: {low_water: 1, days_left: 0}\n", "2:25", "at least 1"),
    ],
    ids=["negative", "unknown-word", "no-date", "name", "days"],
)
def test_what_is_wrong_with_the_pools_is_told_with_its_place(tmp_path: Path, text: str, place: str, told: str) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    written(folder / "vouchers.yaml", text)
    with pytest.raises(ContentError) as raised:
        load_pools(folder)
    (problem,) = raised.value.problems
    assert f"templates/vouchers.yaml:{place}" == f"{problem.file}:{problem.line}:{problem.column}"
    assert told in f"{problem.what} {problem.cure}"


def test_a_step_that_names_no_pool_is_told_the_likely_one(project: Path, tmp_path: Path) -> None:
    journey = project / "templates/birthday/journey.yaml"
    text = journey.read_text()
    try:
        journey.write_text(text.replace("voucher: birthday", "voucher: birthdy"))
        with pytest.raises(ContentError) as raised:
            load_content(project, Settings())
    finally:
        journey.write_text(text)
    (problem,) = raised.value.problems
    assert ("`birthdy` is no pool of voucher codes", 13) == (problem.what, problem.line)
    assert "did you mean `birthday`" in problem.cure
