"""The verbs of `orchestrator law`: results as JSON, exit codes, and cures."""

import json

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app

HEADER = (
    "id,jurisdiction,subdivision,local_datetime,channel,category,consent_state,consent_detail,prior_contacts,"
    "registry_listed,expected,earliest_allowed_local,profile"
)
NIGHT = "2026-09-10T20:00:00-05:00[America/Bogota]"
MORNING = "2026-09-11T07:00:00-05:00[America/Bogota]"


def run(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def table(tmp_path):
    def write(*rows):
        path = tmp_path / "cases.csv"
        path.write_text("\n".join([HEADER, *rows]) + "\n")
        return str(path)

    return write


def test_check_counts_rows_that_agree(table):
    path = table(
        f"A,CO,,{NIGHT},sms,marketing,opt_in,,,n,defer,{MORNING},statute",
        f"B,CO,,{NIGHT},sms,transactional,none,,,n,allow,,statute",
    )
    result = run("--json", "law", "check", path)
    assert {"rows": 2, "agree": 2, "disagree": []} == json.loads(result.stdout)
    assert 0 == result.exit_code


def test_check_tells_what_disagrees_and_ends_with_one(table):
    wrong = "2026-09-11T08:00:00-05:00[America/Bogota]"
    result = run("--json", "law", "check", table(f"A,CO,,{NIGHT},sms,marketing,opt_in,,,n,defer,{wrong},statute"))
    (row,) = json.loads(result.stdout)["disagree"]
    assert 1 == result.exit_code
    assert ("A", "defer", "defer", wrong, MORNING) == tuple(
        row[name] for name in ("id", "expected", "got", "earliest_expected", "earliest_got")
    )
    assert "co.hours" in {finding["rule"] for finding in row["trail"]}


def test_check_without_a_file_is_a_content_error(tmp_path):
    assert 3 == run("law", "check", str(tmp_path / "none.csv")).exit_code


def test_list_shows_every_pack():
    assert {"CO", "ES", "US", "US-NY", "_default"} == {
        pack["pack"].partition("@")[0] for pack in json.loads(run("--json", "law", "list").stdout)
    }


def test_show_names_the_article():
    result = run("law", "show", "CO")
    assert 0 == result.exit_code
    assert "Ley 2300/2023 art. 3" in result.stdout


def test_show_of_a_country_without_a_pack_is_wrong_use():
    assert 2 == run("law", "show", "FR").exit_code


def test_coverage_of_the_shipped_packs_is_complete():
    result = run("law", "coverage")
    assert 0 == result.exit_code
    assert "all rules reached" in result.stdout


def test_diff_of_a_pack_with_itself_is_empty():
    assert [] == json.loads(run("--json", "law", "diff", "CO", "CO").stdout)["changes"]


def test_a_list_without_a_day_is_wrong_use(tmp_path):
    path = tmp_path / "rne.txt"
    path.write_text("+573001234567\n")
    assert 2 == run("law", "registry", "load", "RNE", str(path)).exit_code
