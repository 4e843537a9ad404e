"""Adapters are found by the name of their folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.channels.load import known, load_adapters
from orchestrator.errors import SetupError
from orchestrator.settings import DispatchSettings, Settings, SmtpSettings

CHANNELS = Path(__file__).parents[2] / "orchestrator" / "channels"


def settings(adapters: dict[str, str], **dispatch: object) -> Settings:
    return Settings(dispatch=DispatchSettings(adapters=adapters, **dispatch))  # type: ignore[arg-type]  # as given


def test_each_channel_gets_the_adapter_that_the_settings_name(tmp_path: Path) -> None:
    adapters = load_adapters(settings({"email": "smtp", "sms": "capture"}), tmp_path)
    assert {"email": "Smtp(8 connections)", "sms": "Capture(sms)"} == {c: repr(a) for c, a in adapters.items()}
    assert ["email", "sms"] == [adapter.channel for adapter in adapters.values()]


def test_a_name_without_a_folder_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"did you mean 'smtp'\? Known: capture, sendgrid, smtp"):
        load_adapters(settings({"email": "stmp"}), tmp_path)


def test_an_adapter_of_another_channel_is_not_offered(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no such adapter for sms"):
        load_adapters(settings({"sms": "smtp"}), tmp_path)


def test_what_two_channels_share_is_no_adapter_of_any() -> None:
    assert {"capture", "twilio"} == set(known("sms"))


def test_no_client_library_is_loaded_before_an_adapter_is_named() -> None:
    code = "import sys, orchestrator.cli.app, orchestrator.channels.load; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set() == {"sendgrid", "twilio", "httpx", "requests"} & set(loaded)


def test_a_channel_is_no_way_out_of_the_folder() -> None:
    assert {"capture"} == set(known("../..")) == set(known("email/smtp"))


def test_a_call_that_would_outlive_its_claim_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="lease_s"):
        load_adapters(settings({"email": "smtp"}, lease_s=30.0, smtp=SmtpSettings(timeout_s=16.0)), tmp_path)


def test_every_adapter_says_how_it_is_used() -> None:
    for send in CHANNELS.rglob("send.py"):
        assert (send.parent / "README.md").is_file(), f"{send.parent.name} has no README.md"
