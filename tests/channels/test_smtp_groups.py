"""Commands in groups (RFC 2920): what goes out together, and what is made of the replies, however they come."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from orchestrator.channels.contract import Answer, Message
from orchestrator.channels.email.smtp.send import Smtp
from orchestrator.settings import SmtpSettings

OK, GO_ON, TAKEN = b"250 2.1.0 Ok\r\n", b"354 go on\r\n", b"250 2.0.0 Ok\r\n"
UNKNOWN = b"550 5.1.1 no such user\r\n"
NOBODY = b"554 5.5.1 no valid recipients\r\n"


def message(touch_id: str = "t-1") -> Message:
    return Message(
        touch_id=touch_id,
        channel="email",
        to="lucia@example.org",
        purpose="service",
        journey="welcome",
        locale="en",
        subject="Hello",
        text="the body of it",
        sender="club@example.com",
    )


class Server:
    """A mail server that answers each flight of octets with the next thing that it is told, and keeps what came."""

    def __init__(self, *says: bytes, offers: bytes = b"250-x\r\n250 PIPELINING\r\n") -> None:
        """`says` are the replies to one flight each, after EHLO; ~ is a pause, two of them a hanging up."""
        self.says, self.offers = list(says), offers
        # a list of flights for each connection
        self.heard: list[list[bytes]] = []
        self.sessions: list[asyncio.Task[None]] = []

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more connection."""
        self.sessions.append(asyncio.ensure_future(self._session(reader, writer)))

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await self._talk(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flights: list[bytes] = []
        self.heard.append(flights)
        writer.write(b"220 x\r\n")
        await reader.readline()
        writer.write(self.offers)
        while flight := await reader.read(65_536):
            # a body and its dot may come in two
            while b"Subject" in flight and not flight.endswith(b"\r\n.\r\n"):
                flight += await reader.read(65_536)
            flights.append(flight)
            said = OK if flight == b"RSET\r\n" else self.says.pop(0)
            for piece in said.split(b"~"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
                if not piece:
                    return


def answers(server: Server, *messages: Message) -> list[Answer]:
    """What sends, one after the other, came to."""

    async def run() -> list[Answer]:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        settings = SmtpSettings(port=listening.sockets[0].getsockname()[1], security="none", timeout_s=2.0)
        adapter = Smtp(settings, password="", programme="x", clock=lambda: datetime.now(UTC), hostname="localhost")
        try:
            found = [await adapter.send(one) for one in messages]
            # without a farewell: it would be a flight of its own
            for kept in adapter._pool._kept:
                kept.close()
            return found
        finally:
            listening.close()
            await asyncio.gather(*server.sessions)

    return asyncio.run(run())


def verbs(flight: bytes) -> list[bytes]:
    """The first words of a group's lines."""
    return [line.split(b" ")[0] for line in flight.splitlines()]


def test_a_message_takes_two_round_trips() -> None:
    server = Server(OK + OK + GO_ON, TAKEN)
    assert ["accepted"] == [answer.kind for answer in answers(server, message())]
    group, body = server.heard[0]
    assert [b"MAIL", b"RCPT", b"DATA"] == verbs(group)
    assert b"the body of it" in body


def test_where_it_is_not_offered_each_command_waits_for_its_reply() -> None:
    server = Server(OK, OK, GO_ON, TAKEN, offers=b"250 x\r\n")
    assert ["accepted"] == [answer.kind for answer in answers(server, message())]
    assert [[b"MAIL"], [b"RCPT"], [b"DATA"]] == [verbs(flight) for flight in server.heard[0][:3]]


@pytest.mark.parametrize(
    "replies", [b"250-2.1.0 a\r\n250 b\r\n~25~0 ok\r~\n354 go on\r\n", b"250 a\r\n250 b\r\n~354~ go\r\n"]
)
def test_replies_are_told_apart_however_they_come(replies: bytes) -> None:
    assert ["accepted"] == [answer.kind for answer in answers(Server(replies, TAKEN), message())]


def test_a_refused_recipient_is_the_answer_and_the_session_goes_on() -> None:
    server = Server(OK + UNKNOWN + NOBODY, OK + OK + GO_ON, TAKEN)
    first, second = answers(server, message("t-1"), message("t-2"))
    assert ("rejected_recipient", "550 5.1.1") == (first.kind, first.code)
    assert "accepted" == second.kind
    # one connection, and RSET between the two
    assert [[b"MAIL", b"RCPT", b"DATA"], [b"RSET"], [b"MAIL", b"RCPT", b"DATA"]] == [
        verbs(flight) for flight in server.heard[0][:3]
    ]


def test_a_body_that_is_invited_for_nobody_is_a_lone_dot() -> None:
    server = Server(OK + UNKNOWN + GO_ON, NOBODY, OK + OK + GO_ON, TAKEN)
    first, second = answers(server, message("t-1"), message("t-2"))
    assert ["rejected_recipient", "accepted"] == [first.kind, second.kind]
    assert [b".\r\n", b"RSET\r\n"] == server.heard[0][1:3]
    assert 1 == len(server.heard)


@pytest.mark.parametrize("refused", [b"451 4.3.0 not now\r\n", b"550 5.7.1 not you\r\n"])
def test_a_body_that_is_invited_though_the_sender_was_refused_is_not_begun(refused: bytes) -> None:
    """The recipient was not refused: a lone dot might send them an empty message."""
    server = Server(refused + OK + GO_ON)
    (answer,) = answers(server, message())
    assert answer.kind in {"transient", "rejected_sender"}
    assert [[b"MAIL", b"RCPT", b"DATA"]] == [verbs(flight) for flight in server.heard[0]]


@pytest.mark.parametrize("then", [b"~", b"nonsense\r\n"])
def test_what_was_refused_stays_refused_whatever_breaks_then(then: bytes) -> None:
    server = Server(OK + UNKNOWN + b"~" + then)
    (answer,) = answers(server, message())
    assert ("rejected_recipient", "550 5.1.1") == (answer.kind, answer.code)


def test_a_connection_that_breaks_within_a_group_took_nothing() -> None:
    assert ["transient"] == [answer.kind for answer in answers(Server(OK + b"~~"), message())]


def test_a_reply_that_nobody_asked_for_ends_the_session() -> None:
    """The next replies could be taken for answers to other commands."""
    server = Server(OK + OK + GO_ON, TAKEN + b"250 2.0.0 again\r\n", OK + OK + GO_ON, TAKEN)
    assert ["accepted", "accepted"] == [answer.kind for answer in answers(server, message("t-1"), message("t-2"))]
    assert [2, 2] == [len(flights) for flights in server.heard]


def test_a_reply_without_end_is_no_verdict() -> None:
    server = Server(OK + OK + GO_ON, b"250-" + b"x" * 100_000)
    assert ["unknown"] == [answer.kind for answer in answers(server, message())]
