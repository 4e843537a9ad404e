"""`orchestrator doctor`: each fault of a project is named, with what cures it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import starter
from orchestrator.cli.app import app
from orchestrator.clocks import wall_clock
from orchestrator.doctor import examine
from orchestrator.domain import Check
from orchestrator.project import open_project
from orchestrator.settings import FILE
from orchestrator.stores.sql.sqlite import SqliteStore
from orchestrator.vouchers import put_codes
from tests.few_journeys import only

TODAY = date(2026, 11, 26)
OWN = {
    'programme = "Example Club"': 'programme = "Club Almendro"',
    'site = "https://example.com"': 'site = "https://club.almendro.es"',
    'postal_address = "1 Example Street, Example City"': 'postal_address = "Calle Mayor 1, Madrid"',
    'public_url = "https://example.com"': 'public_url = "https://club.almendro.es"',
}
OWN_SENDER = """\
  - effective: 2026-08-01
    why: our own name and addresses
    sender: {name: "", address: club@almendro.es, reply_to: hola@almendro.es}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two of the starter's journeys, not to be written to: a moment's work to examine."""
    folder = tmp_path_factory.mktemp("doctor") / "club"
    starter.create(folder)
    return only(folder, "birthday", "welcome")


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "club"))


def change(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def found(project: Path, state: str, *parts: str) -> dict[str, list[Check]]:
    """name -> the checks of this state, of some parts of the examination or of all."""
    checks: dict[str, list[Check]] = {}
    for check in examine(project, TODAY, parts):
        if check.state == state:
            checks.setdefault(check.name, []).append(check)
    return checks


def test_a_starter_is_fit_and_its_drafts_and_examples_are_named(tmp_path: Path) -> None:
    project = starter.create(tmp_path / "starter").project
    assert {} == found(project, "fail")
    warnings = found(project, "warn")
    assert {"law CO@2026.11.0", "law US@2026.11.0", "sender"} <= set(warnings)
    places = [check.found.partition(": ")[0] for check in warnings["sender"]]
    lines = (project / FILE).read_text(encoding="utf-8").splitlines()
    expected = [f"{FILE}:{lines.index(line) + 1}" for line in sorted(OWN, key=list(OWN).index)]
    assert sorted([*expected, "channel_policies/email.yaml:9", "channel_policies/email.yaml:9"]) == sorted(places)


def test_who_would_really_write_as_the_example_fails(project: Path) -> None:
    change(project / FILE, ('email = "capture"', 'email = "smtp"'))
    assert 6 == len(found(project, "fail", "content")["sender"])


def test_who_says_who_they_are_may_write(project: Path) -> None:
    change(project / FILE, ('email = "capture"', 'email = "smtp"'), *OWN.items())
    policy = project / "channel_policies/email.yaml"
    policy.write_text(policy.read_text(encoding="utf-8") + OWN_SENDER, encoding="utf-8")
    assert {} == found(project, "fail")
    assert "sender" not in found(project, "warn")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'postal_address = "1 Example',
            'postal_address = "" # 1 Example',
            "(US@2026.11.0), 15 USC 7704",
        ),
        ('public_url = "https://example.com"', 'public_url = ""', "the house asks"),
    ],
)
def test_what_a_law_wants_shown_may_not_be_empty(project: Path, old: str, new: str, told: str) -> None:
    change(project / FILE, (old, new))
    assert any(
        "is empty" in check.found and told in check.found for check in found(project, "warn", "content")["sender"]
    )


def test_where_no_law_asks_for_it_a_postal_address_may_be_empty(project: Path) -> None:
    change(project / FILE, ('postal_address = "1 Example', 'postal_address = "" # 1 Example'))
    for pack in ("US", "US-NY"):
        for file in (project / "channel_policies/laws" / pack).iterdir():
            file.unlink()
        (project / "channel_policies/laws" / pack).rmdir()
    assert not any("postal_address" in check.found for check in found(project, "warn", "content")["sender"])


def test_marketing_without_the_postal_address_is_a_content_problem(project: Path) -> None:
    layout = project / "templates/_layout/email.es.txt.j2"
    change(layout, ('{{ ", " ~ postal_address if postal_address }}', ""))
    problems = found(project, "fail", "content")["content"]
    assert all("lacks `postal_address`, as rule us.email.content (US@2026.11.0)" in check.found for check in problems)
    assert {"use {{ postal_address }}, best in the layout"} == {check.cure for check in problems}


def drop_the_key(project: Path) -> None:
    (project / "keys/orchestrator.key").unlink()


def open_the_key(project: Path) -> None:
    (project / "keys/orchestrator.key").chmod(0o644)


def garble_the_key(project: Path) -> None:
    (project / "keys/orchestrator.key").write_text("garbage")


def misspell_the_adapter(project: Path) -> None:
    change(project / FILE, ('email = "capture"', 'email = "smpt"'))


def misspell_a_setting(project: Path) -> None:
    change(project / FILE, ("locale =", "lokale ="))


def break_a_policy(project: Path) -> None:
    change(project / "channel_policies/email.yaml", ("21:00-08:00", "21:00-8"))


def misspell_a_name(project: Path) -> None:
    change(project / "templates/welcome/hello.sms.en.txt.j2", ("member.given_name", "member.name"))


def name_another_store(project: Path) -> None:
    change(project / FILE, ("sqlite:///orchestrator.db", "mysql://us:geheim@db/club"))


@pytest.mark.parametrize(
    ("spoil", "part", "told", "cure"),
    [
        (drop_the_key, "keys", "does not exist", "restore it from your backup"),
        (open_the_key, "keys", "can be read by others", "chmod 600"),
        (garble_the_key, "keys", "is no key file", "restore it from your backup"),
        (misspell_the_adapter, "channels", "there is no such adapter", "did you mean 'smtp'"),
        (misspell_a_setting, "settings", ": `lokale` is not known here", "did you mean `locale`"),
        (break_a_policy, "content", "channel_policies/email.yaml:20:28: `21:00-8`", 'write "21:00-08:00"'),
        (misspell_a_name, "content", "templates/welcome/hello.sms.en.txt.j2:1: `member.name`", "did you mean"),
        (name_another_store, "store", "mysql://us:***@db/club is no store", 'url = "sqlite:///orchestrator.db"'),
    ],
)
def test_a_fault_is_named_with_its_place_and_its_cure(
    project: Path, spoil: Callable[[Path], None], part: str, told: str, cure: str
) -> None:
    spoil(project)
    # wrong settings leave nothing else to examine
    (check, *_) = found(project, "fail", *([] if part == "settings" else [part]))[part]
    assert told in check.found
    assert cure in f"{check.found} {check.cure}"
    assert "geheim" not in check.found


def clocks(project: Path) -> Check:
    """What is said of the clocks."""
    (check,) = (check for check in examine(project, TODAY, ["clocks"]) if check.name == "clocks")
    return check


def test_clocks_that_agree_are_well(made: Path) -> None:
    assert ("ok", "the store's clock and this machine's differ by 0.0 s") == (clocks(made).state, clocks(made).found)


@pytest.mark.parametrize(("seconds", "state"), [(1.7, "ok"), (-1.7, "ok"), (2.3, "fail"), (-2.3, "fail")])
def test_a_skew_over_two_seconds_is_refused_with_its_cure(
    made: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, state: str
) -> None:
    monkeypatch.setattr(SqliteStore, "clock", lambda _self: wall_clock() + int(seconds * 1_000_000))
    check = clocks(made)
    assert state == check.state
    # a busy machine takes a moment between its two looks at the clock
    assert abs(seconds) == pytest.approx(float(check.found.split()[-2]), abs=0.25)
    assert ("NTP" in check.cure) == (state == "fail")


def test_the_command_ends_with_0_when_fit_and_3_when_not(project: Path) -> None:
    words = ["--project", str(project), "--json", "doctor"]
    assert 0 == CliRunner().invoke(app, words).exit_code
    misspell_the_adapter(project)
    result = CliRunner().invoke(app, words)
    assert 3 == result.exit_code
    assert "channels" in {check["name"] for check in json.loads(result.stdout) if check["state"] == "fail"}


def test_pools_of_voucher_codes_that_are_promised_and_low_empty_or_over_are_named(project: Path) -> None:
    templates = project / "templates"
    journey = templates / "birthday/journey.yaml"
    journey.write_text(journey.read_text().replace("    valid_for: P1D\n", "    valid_for: P1D\n    voucher: gifts\n"))

    def found(pools: str) -> list[tuple[str, str, str]]:
        (templates / "vouchers.yaml").write_text(f"pools: {{{pools}, unused: {{low_water: 9}}}}\n")
        return [(check.name, check.state, check.found) for check in examine(project, TODAY, ["vouchers"])[1:]]

    assert [("vouchers gifts", "fail", "0 codes left")] == found("gifts: {low_water: 2}")
    with open_project(project) as opened:
        put_codes(opened.store, opened.vault, "gifts", ["G-1"])
    assert [("vouchers gifts", "warn", "1 code left")] == found("gifts: {low_water: 2}")
    assert [("vouchers gifts", "ok", "1 code left, 0 given")] == found("gifts: {low_water: 1, last_day: 2026-11-26}")
    assert ["fail"] == [state for _, state, _ in found("gifts: {low_water: 1, last_day: 2026-11-25}")]
