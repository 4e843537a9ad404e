"""`template test-send`: what colleagues get, and that nobody else does."""

from __future__ import annotations

import asyncio
import json
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.project import open_project
from orchestrator.starter import create
from orchestrator.testing.relay import Mail, Relay

SEEDS = '[seeds]\nemail = ["ann@colleagues.example", "bob@colleagues.example"]'


def project_with(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    folder = create(tmp_path / "club").project
    file = folder / "orchestrator.toml"
    text = file.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text, encoding="utf-8")
    return folder


def sent(folder: Path, *arguments: str) -> tuple[int, str]:
    asked = ["--project", str(folder), "--json", "template", "test-send", *arguments]
    result = CliRunner().invoke(app, asked)
    return result.exit_code, result.output


def mail_by(relay: Relay) -> tuple[tuple[str, str], ...]:
    return (
        ("[seeds]", SEEDS),
        ('email = "capture"', 'email = "smtp"'),
        ("port = 25", f"port = {relay.port}"),
        ('security = "starttls"', 'security = "none"'),
    )


async def by_mail(tmp_path: Path, *arguments: str, **script: str) -> tuple[int, str, Path, list[Mail]]:
    """Exit code, output, project and the mails that arrived; `script` answers the steps of SMTP."""
    async with Relay() as relay:
        relay.script.update(script)  # type: ignore[arg-type]  # steps by name
        folder = project_with(tmp_path, *mail_by(relay))
        code, told = await asyncio.to_thread(sent, folder, "thank-you", "thanks", *arguments)
    return code, told, folder, relay.mails


def test_each_seed_gets_the_words_of_a_case_marked_as_a_test(tmp_path: Path) -> None:
    case = ("--locale", "es", "--case", "For 500 cents there are")
    code, told, folder, mails = asyncio.run(by_mail(tmp_path, *case))
    assert 0 == code, told
    assert [(1, "smtp", "accepted"), (2, "smtp", "accepted")] == [
        (each["seed"], each["account"], each["answer"]) for each in json.loads(told)
    ]
    assert "colleagues.example" not in told
    assert ["ann@colleagues.example", "bob@colleagues.example"] == [mail.recipient for mail in mails]
    for mail in mails:
        message = message_from_bytes(mail.raw, policy=default)
        assert "[Test] Gracias, Lucía" == message["Subject"]
        assert "List-Unsubscribe" not in message
        text = message.get_body(("plain",))
        assert text is not None
        assert "tu compra" in text.get_content()
    with open_project(folder) as project:
        assert [] == list(project.store.log())
        assert [] == list(project.store.touches())


def test_seeds_that_are_refused_are_told_by_their_places_and_exit_1(tmp_path: Path) -> None:
    code, told, _, _ = asyncio.run(by_mail(tmp_path, RCPT="550 5.1.1 no such user"))
    assert 1 == code
    assert [(1, "rejected_recipient"), (2, "rejected_recipient")] == [
        (each["seed"], each["answer"]) for each in json.loads(told)
    ]
    assert "colleagues.example" not in told


@pytest.mark.parametrize("channel", ["sms", "email"])
def test_without_seeds_nobody_is_written_to(tmp_path: Path, channel: str) -> None:
    folder = project_with(tmp_path)
    code, told = sent(folder, "thank-you", "thanks", "--channel", channel)
    assert 2 == code
    assert f"[seeds] {channel}" in told
    assert not (folder / "captured").exists()
