"""The provider writes each call down before it answers; the adapter knows what each answer leaves open."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

from orchestrator.channels.contract import Message
from tests.chaos.adapter import HttpAdapter, read_answer
from tests.chaos.evidence import TAKEN_OR_IN_DOUBT
from tests.chaos.provider import answer_for

SEED = 5


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address, ledger) of a provider process."""
    ledger = tmp_path / "ledger.jsonl"
    with Popen([executable, "-m", "tests.chaos.provider", str(ledger), str(SEED)], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", ledger
        process.kill()


def _touch(answer: str) -> str:
    """A touch id that gets this answer."""
    return next(f"t{n}" for n in range(10_000) if answer_for(SEED, f"t{n}") == answer)


def _send(url: str, *touches: str) -> list[str]:
    async def all_of_them() -> list[str]:
        adapter = HttpAdapter("email", url, lambda touch: (f"ref-{touch}", f"contact-{touch}"))
        about = {"channel": "email", "to": "a@example.com", "purpose": "marketing", "journey": "j", "locale": "en"}
        return [(await adapter.send(Message(touch_id=touch, **about))).kind for touch in touches]

    return asyncio.run(all_of_them())


def test_each_answer_is_what_the_seed_says_and_stands_in_the_ledger(served: tuple[str, Path]) -> None:
    url, ledger = served
    answers = {
        "accepted": "accepted",
        "accepted_late": "accepted",
        "4xx": "rejected_message",
        "hung_up": "unknown",
        "5xx": "unknown",
        "slow": "unknown",
    }
    assert list(answers.values()) == _send(url, *map(_touch, answers))
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert ["accepted", "accepted", "4xx", "hung_up", "5xx", "slow"] == [line["answer"] for line in lines]
    columns = [
        "at",
        "provider",
        "touch_id",
        "channel",
        "account",
        "member_ref",
        "contact_point_fingerprint",
        "to",
        "code",
        "answer",
    ]
    assert columns == list(lines[0])
    assert f"ref-{_touch('accepted')}" == lines[0]["member_ref"]
    assert lines == sorted(lines, key=lambda line: line["at"])


def test_in_a_storm_every_call_is_throttled(served: tuple[str, Path]) -> None:
    url, ledger = served
    urllib.request.urlopen(urllib.request.Request(f"{url}/storm", b'{"seconds": 60}', method="POST")).read()
    assert ["throttled"] == _send(url, _touch("accepted"))
    assert "429" == json.loads(ledger.read_text())["answer"]


def test_a_provider_that_is_not_there_took_nothing() -> None:
    assert ["transient"] == _send("http://127.0.0.1:9", "t1")


def test_a_cut_answer_is_in_doubt() -> None:
    assert "unknown" == read_answer(b"HTTP/1.1 202 .\r\nContent-Le").kind
    assert "unknown" == read_answer(b"").kind


def test_the_checker_counts_as_in_doubt_what_the_adapter_calls_unknown() -> None:
    assert {"hung_up", "5xx", "slow", "accepted"} == TAKEN_OR_IN_DOUBT
