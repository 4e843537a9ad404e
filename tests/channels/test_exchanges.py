"""The exchanges kept with each adapter are what it does: this message, this request, this answer, this outcome."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import convert

from orchestrator.channels.contract import Message
from orchestrator.testing.api_suite import Account, sent
from orchestrator.testing.channel_suite import KEY
from orchestrator.testing.provider import Reply
from tests.channels import test_sendgrid, test_telegram, test_twilio, test_whatsapp_cloud

CHANNELS = Path(__file__).parents[2] / "orchestrator" / "channels"
# adapter's folder -> how it is opened
ACCOUNTS: dict[str, Account] = {
    "email/sendgrid": test_sendgrid.ACCOUNT,
    "sms/twilio": test_twilio.SMS,
    "whatsapp/twilio": test_twilio.WHATSAPP,
    "whatsapp/cloud": test_whatsapp_cloud.ACCOUNT,
    "telegram/bot": test_telegram.ACCOUNT,
}
# these have no answers of a provider's API to keep
WITHOUT = {"capture", "email/smtp"}
EXCHANGES = sorted(CHANNELS.rglob("exchanges/*.json"))


def test_every_adapter_of_an_api_keeps_exchanges() -> None:
    adapters = {send.parent.relative_to(CHANNELS).as_posix() for send in CHANNELS.rglob("send.py")}
    assert (
        adapters - WITHOUT
        == ACCOUNTS.keys()
        == {path.parent.parent.relative_to(CHANNELS).as_posix() for path in EXCHANGES}
    )


@pytest.mark.parametrize("path", EXCHANGES, ids=lambda path: path.relative_to(CHANNELS).as_posix())
def test_an_exchange_is_what_the_adapter_does(path: Path) -> None:
    kept = json.loads(path.read_bytes())
    account = ACCOUNTS[path.parent.parent.relative_to(CHANNELS).as_posix()]
    answered = Reply(kept["answer"]["status"], kept["answer"]["headers"], kept["answer"]["body"].encode())
    answer, (request,) = sent(account, convert(kept["message"], Message), answered)
    wanted = kept["request"]
    assert (wanted["method"], wanted["target"]) == (request.method, request.target.replace(KEY, "********"))
    for name, value in wanted["headers"].items():
        assert value == request.headers[name].replace(KEY, "********")
    assert wanted.get("json", {}) == (request.json if "json" in wanted else {})
    assert wanted.get("form", {}) == (request.form if "form" in wanted else {})
    outcome = kept["outcome"]
    wait = timedelta(seconds=outcome.pop("retry_after_s")) if "retry_after_s" in outcome else None
    assert {"provider_id": "", "opted_out": False, **outcome, "wait": wait} == {
        "kind": answer.kind,
        "code": answer.code,
        "provider_id": answer.provider_id,
        "opted_out": answer.opted_out,
        "wait": answer.retry_after,
    }


@pytest.mark.parametrize("path", EXCHANGES, ids=lambda path: path.relative_to(CHANNELS).as_posix())
def test_an_exchange_says_where_it_comes_from_and_holds_no_key(path: Path) -> None:
    kept = json.loads(path.read_bytes())
    assert kept["source"]
    assert KEY not in path.read_text(encoding="utf-8")
