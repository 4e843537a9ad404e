"""Adapters are found by the name of their folder."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.channels.load import known, load_accounts, load_receivers
from orchestrator.channels.webhooks import Forged, Heard, Hook
from orchestrator.errors import SetupError
from orchestrator.settings import AccountSettings, DispatchSettings, SendGridSettings, Settings, SmtpSettings

CHANNELS = Path(__file__).parents[2] / "orchestrator" / "channels"


def settings(adapters: Mapping[str, str | list[str]], **dispatch: object) -> Settings:
    return Settings(dispatch=DispatchSettings(adapters=adapters, **dispatch))  # type: ignore[arg-type]  # as given


def test_each_channel_gets_the_adapter_that_the_settings_name(tmp_path: Path) -> None:
    accounts = load_accounts(settings({"email": "smtp", "sms": "capture"}), tmp_path)
    found = {channel: [(each.name, repr(each.adapter)) for each in given] for channel, given in accounts.items()}
    assert {"email": [("smtp", "Smtp(8 connections)")], "sms": [("capture", "Capture(sms)")]} == found
    assert ["email", "sms"] == [each.adapter.channel for given in accounts.values() for each in given]


def test_accounts_have_names_bounds_and_tables_of_their_own_in_the_order_in_which_they_are_tried(
    tmp_path: Path,
) -> None:
    named = {
        "fast": AccountSettings(adapter="smtp", per_second=40.0, smtp=SmtpSettings(connections=3)),
        "smtp": AccountSettings(failures=5),
    }
    fast, common = load_accounts(settings({"email": ["fast", "smtp"]}, accounts=named), tmp_path)["email"]
    assert ("fast", "Smtp(3 connections)", 40.0) == (fast.name, repr(fast.adapter), fast.bounds.per_second)
    assert ("smtp", "Smtp(8 connections)", 5) == (common.name, repr(common.adapter), common.bounds.failures)


def test_an_account_is_named_once_and_at_least_one_is(tmp_path: Path) -> None:
    for wrong in ([], ["smtp", "smtp"]):
        with pytest.raises(SetupError, match="name one account, or several, each of them once"):
            load_accounts(settings({"email": wrong}), tmp_path)


def test_an_account_of_no_adapter_is_told_with_its_table_and_the_nearest_name(tmp_path: Path) -> None:
    named = {"relay": AccountSettings(adapter="stmp")}
    with pytest.raises(SetupError, match=r"\[dispatch.accounts.relay\] adapter = 'stmp': .* did you mean 'smtp'"):
        load_accounts(settings({"email": "relay"}, accounts=named), tmp_path)
    with pytest.raises(
        SetupError, match=r"no such account or adapter for email; did you mean 'relay'\? Known: capture, "
    ):
        load_accounts(settings({"email": "relais"}, accounts=named), tmp_path)


def test_an_accounts_own_time_out_may_not_outlive_a_claim_either(tmp_path: Path) -> None:
    named = {"relay": AccountSettings(adapter="smtp", smtp=SmtpSettings(timeout_s=16.0))}
    with pytest.raises(SetupError, match=r"\[dispatch.accounts.relay.smtp\] timeout_s = 16 .* lease_s = 30"):
        load_accounts(settings({"email": "relay"}, accounts=named, lease_s=30.0), tmp_path)


def test_accounts_of_one_provider_are_called_back_at_one_path_and_each_is_heard() -> None:
    ours = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    public = [key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in ours]
    keys = [base64.b64encode(der).decode() for der in public]
    named = {
        name: AccountSettings(adapter="sendgrid", sendgrid=SendGridSettings(webhook_keys=[key]))
        for name, key in zip(("eu", "us"), keys, strict=True)
    }
    receivers = load_receivers(settings({"email": ["eu", "us"]}, accounts=named))
    now = datetime.now(UTC)
    for key in ours:
        body, stamp = b"[]", str(int(now.timestamp()))
        signed = base64.b64encode(key.sign(stamp.encode() + body, ec.ECDSA(SHA256()))).decode()
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": signed,
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }
        hook = Hook(url="https://example.com/webhooks/sendgrid/events", headers=headers, body=body)
        assert Heard() == receivers["/webhooks/sendgrid/events"].read(hook, now)
        with pytest.raises(Forged):
            receivers["/webhooks/sendgrid/events"].read(msgspec.structs.replace(hook, body=b"[ ]"), now)


def test_a_name_without_a_folder_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"did you mean 'smtp'\? Known: capture, sendgrid, smtp"):
        load_accounts(settings({"email": "stmp"}), tmp_path)


def test_an_adapter_of_another_channel_is_not_offered(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no such adapter for sms"):
        load_accounts(settings({"sms": "smtp"}), tmp_path)


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
        load_accounts(settings({"email": "smtp"}, lease_s=30.0, smtp=SmtpSettings(timeout_s=16.0)), tmp_path)


def test_every_adapter_says_how_it_is_used() -> None:
    for send in CHANNELS.rglob("send.py"):
        assert (send.parent / "README.md").is_file(), f"{send.parent.name} has no README.md"
