"""A journey begun by `journey new`, drawn by `journey graph`, and cases that order what an operator would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator import journey_view
from orchestrator.content import locate
from orchestrator.content.cases import read_cases
from orchestrator.content.load import load_content
from orchestrator.errors import UsageError
from orchestrator.journey_scaffold import scaffold
from orchestrator.runtimes.embedded.cases import live, run_cases
from orchestrator.settings import Settings
from orchestrator.testing.journeys import content_of
from orchestrator.vault import KeyFile, Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(KeyFile.create(tmp_path / "key"))


def test_a_new_journey_is_sound_and_its_cases_hold(tmp_path: Path, vault: Vault) -> None:
    for name in ("templates", "channel_policies"):
        shutil.copytree(locate.shipped(name), tmp_path / name)
    assert 11 == len(scaffold(tmp_path, "second-visit").written)
    content = load_content(tmp_path, Settings())
    results = run_cases(tmp_path, content, Settings(), vault, ["second-visit"])
    assert [()] * 3 == [result.failures for result in results]
    with pytest.raises(UsageError, match="there already"):
        scaffold(tmp_path, "second-visit")
    with pytest.raises(UsageError, match="no name"):
        scaffold(tmp_path, "Second Visit")


JOURNEY = (
    "trigger: {event: purchase.completed}\nsteps:\n  - wait: P1D\n  - branch: member.tier == 'x'\n"
    "    then: [{exit: true}]\n    else: [{send: a, channels: [sms]}]\n"
    "  - repeat: {times: 2, steps: [{send: b, channels: [sms]}]}\n"
)


def test_a_drawing_has_every_step_and_every_way() -> None:
    drawing = journey_view.mermaid(content_of(JOURNEY).journeys["test"])
    for shown in (
        'start(["purchase.completed"])', 's0["wait 1 day"]', "start --> s0", '-->|"yes"|', '-->|"no"|',
        '"a (sms)"', '"b (sms)"', '-->|"again"|', '-->|"through"| done',
    ):  # fmt: skip
        assert shown in drawing


CASES = """\
- name: Held while paused, and sent when it goes on
  member:
    country: US
    zone: America/New_York
    contact_points: [{channel: sms, address: "+12125550123"}]
  events:
    - {type: purchase.completed, time: 2026-03-03T17:00:00Z, data: {purchase_id: p, amount: 1, currency: USD}}
  orders:
    - {order: pause, time: 2026-03-03T18:00:00Z}
    - {order: resume, time: 2026-03-05T18:00:00Z}
  until: 2026-03-06T00:00:00Z
  expect:
    - {journey: test, step: a, at: 2026-03-05T18:00:00Z}
"""


def test_a_case_orders_what_an_operator_would(tmp_path: Path, vault: Vault) -> None:
    (tmp_path / "cases.yaml").write_text(CASES, encoding="utf-8")
    (case,) = read_cases(tmp_path / "cases.yaml")
    text = "trigger: {event: purchase.completed}\nsteps:\n  - wait: P1D\n  - {send: a, channels: [sms]}\n"
    assert () == live(content_of(text), Settings(), vault, "test", case).failures
    unpaused = live(content_of(text), Settings(), vault, "test", replace(case, orders=()))
    assert not unpaused.holds


PROMISE = """\
trigger: {event: purchase.completed}
steps:
  - {send: gift, channels: [sms], voucher: gifts}
"""


def test_a_case_says_which_codes_are_left(tmp_path: Path, vault: Vault) -> None:
    content = content_of(PROMISE, texts={"gift": "{{ voucher.code }}"}, vouchers="pools: {gifts: {low_water: 1}}\n")
    member = (
        "{country: US, zone: America/New_York, locale: en, contact_points: [{channel: sms, address: '+12125550123'}]}"
    )
    bought = "data: {purchase_id: p, amount: 9, currency: USD}"
    happens = f"events: [{{type: purchase.completed, time: 2026-03-03T17:00:00Z, {bought}}}]"
    (tmp_path / "cases.yaml").write_text(
        f"- name: One code is left\n  member: {member}\n  {happens}\n  until: 2026-03-04T00:00:00Z\n"
        "  vouchers: {gifts: [G-1]}\n  expect: [{journey: test, step: gift, channel: sms, contains: [G-1]}]\n"
        f"- name: None is left\n  member: {member}\n  {happens}\n  until: 2026-03-04T00:00:00Z\n"
        "  expect: [{journey: test, step: gift, verdict: suppress, reason: voucher_none_left}]\n"
    )
    results = [live(content, Settings(), vault, "test", case) for case in read_cases(tmp_path / "cases.yaml")]
    assert [()] * 2 == [result.failures for result in results]
