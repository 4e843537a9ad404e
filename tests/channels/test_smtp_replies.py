"""What each reply of a real mail server comes to, and how many calls it costs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.channels.contract import Answer, Message
from orchestrator.channels.email.smtp.message import build
from orchestrator.channels.email.smtp.receipts import read_bounce, read_reply
from orchestrator.channels.email.smtp.send import Smtp
from orchestrator.errors import SetupError
from orchestrator.settings import SmtpSettings
from orchestrator.testing.api_suite import self_signed
from orchestrator.testing.relay import CUT, HANG, Relay, Step

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def message(touch_id: str = "touch-1", **changes: str) -> Message:
    facts = {
        "touch_id": touch_id,
        "channel": "email",
        "to": "lucia@example.org",
        "purpose": "marketing",
        "journey": "welcome",
        "locale": "es-ES",
        "subject": "Te damos la bienvenida",
        "html": "<p>Hola</p>",
        "text": "Hola",
        "sender_name": "Club",
        "sender": "club@example.com",
    }
    return Message(**{**facts, **changes})


def smtp(
    relay: Relay,
    *,
    security: str = "none",
    user: str = "",
    password: str = "",
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 10.0,
) -> Smtp:
    settings = SmtpSettings(
        host=relay.host, port=relay.port, security=security, user=user, timeout_s=timeout_s, connections=8
    )
    return Smtp(settings, password=password, programme="Club", clock=lambda: NOW, hostname="localhost", tls=tls)


def with_relay(relay: Callable[[], Relay], work: Callable[[Relay], Awaitable[None]]) -> None:
    async def run() -> None:
        async with relay() as server:
            await work(server)

    asyncio.run(run())


def sent_to(script: dict[Step, str], *, pipelining: bool = True) -> tuple[Answer, Relay]:
    """The answer to one send at a relay with this script, and the relay as the call left it."""
    kept: list[tuple[Answer, Relay]] = []

    async def work(relay: Relay) -> None:
        relay.script = script
        adapter = smtp(relay, timeout_s=0.3 if HANG in script.values() else 10.0)
        kept.append((await adapter.send(message()), relay))
        await adapter.close()

    with_relay(lambda: Relay(pipelining=pipelining), work)
    return kept[0]


# channels.md names these rows; each is (step, reply, outcome, code)
ROWS: list[tuple[Step, str, str, str]] = [
    ("RCPT", "550 5.1.1 no such user", "rejected_recipient", "550 5.1.1"),
    ("RCPT", "550 5.1.2 no such domain", "rejected_recipient", "550 5.1.2"),
    ("RCPT", "550 5.1.6 moved", "rejected_recipient", "550 5.1.6"),
    ("RCPT", "556 5.1.10 null MX", "rejected_recipient", "556 5.1.10"),
    ("RCPT", "550 5.7.1 blocked by policy", "rejected_sender", "550 5.7.1"),
    ("RCPT", "550 5.7.515 access denied", "rejected_sender", "550 5.7.515"),
    ("RCPT", "450 4.2.2 mailbox full", "transient", "450 4.2.2"),
    ("RCPT", "451 4.7.1 greylisted", "transient", "451 4.7.1"),
    ("RCPT", "421 4.3.2 shutting down", "transient", "421 4.3.2"),
    ("RCPT", "452 4.3.1 out of space", "transient", "452 4.3.1"),
    ("RCPT", "550 5.4.4 cannot route", "transient", "550 5.4.4"),
    ("RCPT", "552 5.2.2 mailbox full", "transient", "552 5.2.2"),
    ("RCPT", "552 5.3.4 too big", "rejected_message", "552 5.3.4"),
    ("RCPT", "550 no reason given", "rejected_sender", "550"),
    ("MAIL", "552 5.3.4 too big", "rejected_message", "552 5.3.4"),
    ("MAIL", "550 5.7.26 not authenticated", "rejected_sender", "550 5.7.26"),
    ("DATA", "451 4.3.0 try later", "transient", "451 4.3.0"),
    ("DATA", "554 5.7.0 policy", "rejected_sender", "554 5.7.0"),
    ("BODY", "451 4.3.0 try later", "transient", "451 4.3.0"),
    ("BODY", "550 5.7.26 not authenticated", "rejected_sender", "550 5.7.26"),
    ("BODY", "554 5.6.0 bad content", "rejected_message", "554 5.6.0"),
    ("BODY", "554 5.7.1 spam", "rejected_message", "554 5.7.1"),
    ("BODY", "552 5.3.4 too big", "rejected_message", "552 5.3.4"),
    ("CONNECT", "554 5.7.1 not you", "rejected_sender", "554 5.7.1"),
    ("CONNECT", "421 4.7.0 too many", "transient", "421 4.7.0"),
]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(("step", "reply", "kind", "code"), ROWS)
def test_a_reply_is_judged_by_its_enhanced_code_and_where_it_came(
    step: Step, reply: str, kind: str, code: str, pipelining: bool
) -> None:
    answer, relay = sent_to({step: reply}, pipelining=pipelining)
    assert (kind, code) == (answer.kind, answer.code)
    # whatever the answer, the server was asked once
    assert 1 == relay.steps[step]
    assert (1 if step == "BODY" else 0) == len(relay.mails)


def test_a_message_that_was_taken_keeps_the_queue_id() -> None:
    answer, relay = sent_to({})
    assert ("accepted", "4Zx9yK1Qw2", "250 2.0.0") == (answer.kind, answer.provider_id, answer.code)
    assert ["touch-1"] == relay.calls


@pytest.mark.parametrize("text", [".\n..\n.fin\n", "a\r\n.\r\nb", "x" * 5000, "", " \n", "¡Olé! 🎁\n." * 30])
def test_the_body_arrives_as_it_was_built_whatever_dots_and_lines_it_has(text: str) -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay)
        mail = message(text=f"begin {text} end")
        assert "accepted" == (await adapter.send(mail)).kind
        assert [build(mail, NOW, "Club")] == [received.raw for received in relay.mails]
        assert ("bounce+touch-1@example.com", mail.to) == (relay.mails[0].sender, relay.mails[0].recipient)
        await adapter.close()

    with_relay(Relay, work)


@pytest.mark.parametrize("step", ["CONNECT", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("what", [CUT, HANG])
@pytest.mark.parametrize("pipelining", [True, False])
def test_until_the_final_dot_a_lost_or_silent_connection_is_transient(step: Step, what: str, pipelining: bool) -> None:
    answer, relay = sent_to({step: what}, pipelining=pipelining)
    assert "transient" == answer.kind
    assert [] == relay.calls


@pytest.mark.parametrize("what", [CUT, HANG, "nonsense", "299 what"])
def test_after_the_final_dot_no_verdict_is_unknown(what: str) -> None:
    answer, relay = sent_to({"BODY": what})
    assert "unknown" == answer.kind
    assert ["touch-1"] == relay.calls


def test_a_refused_connection_is_transient() -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay)
        await relay.stop()
        assert Answer(kind="transient", code="connection") == await adapter.send(message())

    with_relay(Relay, work)


def test_a_full_mailbox_is_the_recipients_trouble_only_in_the_end() -> None:
    assert ("transient", "rejected_recipient") == _both(read_reply("recipient", 552, "5.2.2 full"))
    assert ("transient", "rejected_recipient") == _both(read_reply("recipient", 452, "4.2.2 full"))
    assert ("transient", None) == _both(read_reply("recipient", 451, "4.7.1 greylisted"))


def _both(answer: Answer) -> tuple[str, str | None]:
    return answer.kind, answer.in_the_end


def test_the_words_of_a_reply_decide_nothing_and_are_not_kept() -> None:
    for words in ("user unknown", "spam", "<lucia@example.org> is blocked"):
        answer = read_reply("recipient", 550, f"5.1.1 {words}")
        assert Answer(kind="rejected_recipient", code="550 5.1.1") == answer
    assert "" == read_reply("data", 250, "queued as lucia@example.org").provider_id


def test_one_connection_carries_many_messages_and_a_refusal_in_between() -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay)
        assert "accepted" == (await adapter.send(message("touch-1"))).kind
        relay.script = {"RCPT": "550 5.1.1 no such user"}
        assert "rejected_recipient" == (await adapter.send(message("touch-2"))).kind
        relay.script = {}
        assert "accepted" == (await adapter.send(message("touch-3"))).kind
        assert (1, ["touch-1", "touch-3"]) == (relay.steps["CONNECT"], relay.calls)
        await adapter.close()

    with_relay(Relay, work)


def test_a_kept_connection_that_the_server_closed_is_replaced_before_the_message_begins() -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay)
        await adapter.send(message("touch-1"))
        relay.drop()
        await asyncio.sleep(0.01)
        assert "accepted" == (await adapter.send(message("touch-2"))).kind
        assert (2, ["touch-1", "touch-2"]) == (relay.steps["CONNECT"], relay.calls)
        await adapter.close()

    with_relay(Relay, work)


def test_eight_connections_at_most() -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay)
        await asyncio.gather(*(adapter.send(message(f"touch-{n}")) for n in range(40)))
        assert 40 == len(set(relay.calls))
        assert 1 < relay.steps["CONNECT"] <= 8
        await adapter.close()

    with_relay(Relay, work)


# --- TLS and passwords


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-made certificate for 127.0.0.1, with its key."""
    return self_signed(tmp_path_factory.mktemp("tls") / "relay.pem")


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_with_a_certificate_that_is_trusted_the_message_and_the_password_go_encrypted(
    certificate: Path, security: str
) -> None:
    async def work(relay: Relay) -> None:
        trusting = ssl.create_default_context(cafile=str(certificate))
        adapter = smtp(relay, security=security, user="club", password="right", tls=trusting)
        assert "accepted" == (await adapter.send(message())).kind
        assert [(True, True)] == [(mail.tls, mail.login) for mail in relay.mails]
        await adapter.close()

    tls = serving(certificate)
    with_relay(lambda: Relay(tls=tls, implicit_tls=security == "tls", password="right"), work)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_trusted_stops_the_sender_before_anything_is_said(
    certificate: Path, security: str
) -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay, security=security, user="club", password="right")
        assert Answer(kind="rejected_sender", code="tls") == await adapter.send(message())
        assert 0 == relay.steps["MAIL"]

    tls = serving(certificate)
    with_relay(lambda: Relay(tls=tls, implicit_tls=security == "tls", password="right"), work)


def test_a_server_without_starttls_gets_nothing_in_plain_text() -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay, security="starttls")
        assert Answer(kind="rejected_sender", code="no_starttls") == await adapter.send(message())
        assert 0 == relay.steps["MAIL"]

    with_relay(Relay, work)


def test_a_wrong_password_is_the_senders_trouble() -> None:
    async def work(relay: Relay) -> None:
        adapter = smtp(relay, user="club", password="wrong")
        answer = await adapter.send(message())
        assert ("rejected_sender", "535 5.7.8") == (answer.kind, answer.code)

    with_relay(lambda: Relay(password="right"), work)


def test_a_password_never_leaves_this_machine_in_the_clear() -> None:
    settings = SmtpSettings(host="mail.example.com", security="none", user="club")
    with pytest.raises(SetupError, match="in the clear"):
        Smtp(settings, password="secret", programme="Club", clock=lambda: NOW, hostname="localhost")
    settings = SmtpSettings(host="mail.example.com", security="starttls", user="club")
    with pytest.raises(SetupError, match="ORCHESTRATOR_SMTP_PASSWORD"):
        Smtp(settings, password="", programme="Club", clock=lambda: NOW, hostname="localhost")


# --- delivery reports

REPORT = """\
From: MAILER-DAEMON@relay.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

<lucia@example.org>: it did not work

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example

Final-Recipient: rfc822; lucia@example.org
Action: {action}
Status: {status}

--b--
"""


@pytest.mark.parametrize(
    ("action", "status", "state"),
    [
        ("failed", "5.1.1", "bounced"),
        ("failed", "5.7.1", "soft_bounced"),
        ("failed", "4.4.7", "soft_bounced"),
        ("failed", "5.2.2", "soft_bounced"),
        ("delivered", "2.0.0", "delivered"),
        ("delayed", "4.4.1", None),
    ],
)
def test_a_delivery_report_names_its_touch_by_the_address_it_came_to(
    action: str, status: str, state: str | None
) -> None:
    raw = REPORT.format(action=action, status=status).encode()
    receipt = read_bounce(raw, "bounce+touch-1@example.com", NOW)
    assert state == (receipt and receipt.state)
    if receipt:
        assert ("touch-1", NOW, status) == (receipt.touch_id, receipt.occurred_at, receipt.code)


def test_mail_that_is_no_delivery_report_is_none() -> None:
    assert read_bounce(b"Subject: hello\r\n\r\nhello", "bounce+touch-1@example.com", NOW) is None
    assert read_bounce(REPORT.format(action="failed", status="5.1.1").encode(), "club@example.com", NOW) is None
