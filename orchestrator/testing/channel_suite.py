"""What every channel adapter must do. A test module subclasses `ChannelSuite` and says how to reach its provider.

    class TestSmtp(ChannelSuite):
        @asynccontextmanager
        async def rig(self, folder):
            async with Relay() as relay:
                ...
                yield SmtpRig(adapter, relay)

Each test opens a rig of its own, with an adapter whose hard time-out is at most two seconds.
"""

# ruff: noqa: D102, SIM300 - these are tests: their names say what must hold, and what is expected stands on the left

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, get_args

import pytest
from msgspec.structs import replace

from orchestrator.channels.contract import Adapter, Answer, Capabilities, Message
from orchestrator.events.inputs import AnswerKind

Script = Literal["accept", "refuse", "down", "hang"]

# words that must turn up nowhere but in the message itself
ADDRESS, NUMBER, CHAT = "lucia.private@example.org", "+34600111222", "7000111222"
NAME, SECRET = "Lucía Privada", "never-tell-anyone"
# a rig gives its adapter this key, token or password: it must turn up nowhere but in requests
KEY = "key-never-in-a-log"
# loggers of servers that a rig runs in the same process
SERVERS = ("mail.", "aiosmtpd", "asyncio")
HARD_LIMIT_S = 5.0
KINDS = get_args(AnswerKind)
LONG_AGO, FAR = datetime(2001, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)


class Rig(Protocol):
    """An adapter and the provider it calls."""

    adapter: Adapter

    def script(self, what: Script) -> bool:
        """From now on the provider does this; False where it can't happen on this channel."""

    def calls(self) -> list[str]:
        """The touch ids that reached the provider, one for each call."""

    def waiting(self) -> int:
        """Calls that hang at the provider now."""

    def release(self) -> None:
        """What hangs is answered."""


class ChannelSuite:
    """Tests for one adapter."""

    channel = "email"

    def rig(self, folder: Path) -> AbstractAsyncContextManager[Rig]:
        """A fresh adapter and provider; `folder` is empty and theirs."""
        raise NotImplementedError

    def message(self, touch_id: str = "touch-1", *, subject: str = "Hello") -> Message:
        """A message that the provider accepts."""
        mail = self.channel == "email"
        approved = self.channel == "whatsapp"
        return Message(
            touch_id=touch_id,
            channel=self.channel,
            to={"email": ADDRESS, "telegram": CHAT}.get(self.channel, NUMBER),
            purpose="marketing",
            journey="welcome",
            locale="en",
            subject=subject if mail else "",
            html=f"<p>{NAME} {SECRET}</p>" if mail else "",
            text=f"{NAME} {SECRET}",
            sender_name="Club",
            sender="club@example.com" if mail else "+15005550006",
            unsubscribe="https://example.com/u/abc",
            template="birthday_gift" if approved else "",
            content_sid="HX0123456789abcdef0123456789abcdef" if approved else "",
            template_language="es_MX" if approved else "",
            variables=(NAME, SECRET) if approved else (),
        )

    def test_names_its_channel_and_has_a_slot(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            assert self.channel == rig.adapter.channel
            assert rig.adapter.slots >= 1

        self._run(tmp_path, check)

    def test_what_it_can_not_carry_is_refused_by_name_and_never_called(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            for code, message in beyond(rig.adapter.capabilities, self.message()):
                assert Answer(kind="rejected_message", code=code) == await rig.adapter.send(message)
            assert [] == rig.calls()

        self._run(tmp_path, check)

    def test_what_the_provider_takes_is_accepted_in_one_call_that_carries_the_touch_id(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            answer = await rig.adapter.send(self.message("touch-7"))
            assert "accepted" == answer.kind
            assert ["touch-7"] == rig.calls()

        self._run(tmp_path, check)

    @pytest.mark.parametrize("what", get_args(Script))
    def test_any_end_is_an_outcome_of_the_closed_list_and_never_an_exception(
        self, tmp_path: Path, what: Script
    ) -> None:
        async def check(rig: Rig) -> None:
            answer = await rig.adapter.send(self.message())
            assert isinstance(answer, Answer)
            assert answer.kind in KINDS
            assert (what == "accept") == (answer.kind == "accepted")

        self._run(tmp_path, check, what)

    @pytest.mark.parametrize("what", get_args(Script))
    def test_one_send_is_at_most_one_call_whatever_the_provider_does(self, tmp_path: Path, what: Script) -> None:
        async def check(rig: Rig) -> None:
            await rig.adapter.send(self.message())
            assert len(rig.calls()) <= 1

        self._run(tmp_path, check, what)

    def test_a_provider_that_hangs_does_not_hold_a_call_beyond_its_time_out(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            began = time.monotonic()
            answer = await rig.adapter.send(self.message())
            assert time.monotonic() - began < HARD_LIMIT_S
            assert "unknown" == answer.kind

        self._run(tmp_path, check, "hang")

    def test_after_a_failure_the_next_call_is_answered(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            await rig.adapter.send(self.message("touch-1"))
            rig.script("accept")
            assert "accepted" == (await rig.adapter.send(self.message("touch-2"))).kind

        self._run(tmp_path, check, "down")

    def test_no_more_calls_at_once_than_slots(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            slots = rig.adapter.slots
            sends = [asyncio.ensure_future(rig.adapter.send(self.message(f"touch-{n}"))) for n in range(3 * slots)]
            async with asyncio.timeout(HARD_LIMIT_S):
                while rig.waiting() < slots:  # noqa: ASYNC110 - the provider may be a process of its own
                    await asyncio.sleep(0.001)
            for _ in range(50):
                # whatever else is on its way arrives
                await asyncio.sleep(0.001)
                assert rig.waiting() <= slots
            rig.release()
            answers = await asyncio.gather(*sends)
            assert {"accepted"} == {answer.kind for answer in answers}
            assert sorted(f"touch-{n}" for n in range(3 * slots)) == sorted(rig.calls())

        self._run(tmp_path, check, "hang")

    @pytest.mark.parametrize("what", get_args(Script))
    def test_nothing_personal_in_answers_names_or_logs(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
        what: Script,
    ) -> None:
        async def check(rig: Rig) -> None:
            message = self.message()
            answer = await rig.adapter.send(message)
            await rig.adapter.close()
            logged = [
                f"{record.name} {record.getMessage()} {record.exc_text}"
                for record in caplog.records
                if not record.name.startswith(SERVERS)
            ]
            told = [repr(answer), repr(message), repr(rig.adapter), str(rig.adapter), *logged, *capsys.readouterr()]
            for word in (ADDRESS, NUMBER, CHAT, NAME, SECRET, KEY):
                assert word not in "".join(told)

        # of all loggers, those of client libraries included
        caplog.set_level("DEBUG")
        self._run(tmp_path, check, what)

    def test_a_header_that_would_break_out_is_refused_or_has_nowhere_to_break_out_of(self, tmp_path: Path) -> None:
        if self.channel != "email":
            pytest.skip("this channel has no headers")

        async def check(rig: Rig) -> None:
            answer = await rig.adapter.send(self.message(subject="Hello\r\nBcc: everyone@example.org"))
            assert answer.kind in {"rejected_message", "accepted"}
            # one that has no headers to break out of may take it, as text
            assert answer.kind == "accepted" or [] == rig.calls()

        self._run(tmp_path, check)

    def test_closing_twice_is_closing(self, tmp_path: Path) -> None:
        async def check(rig: Rig) -> None:
            await rig.adapter.send(self.message())
            await rig.adapter.close()
            await rig.adapter.close()

        self._run(tmp_path, check)

    def _run(self, folder: Path, check: Callable[[Rig], Awaitable[None]], what: Script = "accept") -> None:
        async def run() -> None:
            async with self.rig(folder) as rig:
                if not rig.script(what):
                    pytest.skip(f"{what!r} can't happen on this channel")
                await check(rig)
                await rig.adapter.close()

        asyncio.run(run())


def beyond(can: Capabilities, message: Message) -> Iterator[tuple[str, Message]]:
    """Messages that an adapter of these capabilities can't carry, each with the code that it is refused by."""
    plain = replace(message, template="", content_sid="", variables=(), open_until=FAR)
    if not can.media:
        yield "no_media", replace(plain, media="https://example.com/cake.png")
    else:
        yield "bad_media", replace(plain, media="http://example.com/cake.png")
        if can.caption_limit:
            text = "a" * (can.caption_limit + 1)
            yield "too_long", replace(plain, media="https://example.com/cake.png", text=text)
    if can.text_limit:
        yield "too_long", replace(plain, text="a" * (can.text_limit + 1))
    if can.segments:
        yield "too_many_segments", replace(plain, text="á" * (67 * can.segments + 1))
    if can.window:
        yield "window_closed", replace(plain, open_until=None)
        yield "window_closed", replace(plain, open_until=LONG_AGO)
    yield "no_text", replace(plain, text=" ")
