"""What providers tell us by themselves, in one closed vocabulary; how a receiver reads a request of theirs.

    hook (raw) ─▶ signature ─▶ parse ─▶ what was said, each with a key that its repeats share

A receiver is a function of the request, its keys and the moment. It verifies the raw bytes before it parses them, and
it never writes: whoever calls it puts what was said, by key, into the inbox in one transaction, and answers then.
An entry that can't be read is passed over and counted; it never takes the others with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from orchestrator.events.inputs import ReceiptState

# what a sender's clock may be ahead of ours
SKEW = timedelta(minutes=5)


class Forged(Exception):
    """Not signed, wrongly signed, or too old: 401 without detail. `code` is for counting."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Malformed(Exception):
    """Signed, and not what this provider sends: 400 without detail. `code` is for counting."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Hook(Struct, frozen=True, kw_only=True):
    """A request as it came; its repr hides all of it."""

    # as the provider called it: the public scheme and host, path and query, from settings rather than behind a proxy
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    method: Literal["GET", "POST"] = "POST"

    def header(self, name: str) -> str:
        """The value of a header, whatever the case of its name; "" without one."""
        wanted = name.lower()
        return next((value for known, value in self.headers.items() if known.lower() == wanted), "")

    def query(self, name: str) -> str:
        """The first value of a query parameter, "" without one."""
        return dict(reversed(parse_qsl(self.url.partition("?")[2]))).get(name, "")

    def __repr__(self) -> str:
        """Method and length."""
        return f"Hook({self.method}, {len(self.body)} bytes)"


class Report(Struct, frozen=True, kw_only=True):
    """A later word on one of our messages."""

    # the same for the same word told again, and for no other
    key: str
    # our own id, as the provider carried it; "" where it did not
    touch_id: str = ""
    # the provider's id of the message
    provider_id: str = ""
    state: ReceiptState
    # when it happened, aware UTC
    at: datetime
    # the provider's own code, never its free text
    code: str = ""

    def __repr__(self) -> str:
        """State and code."""
        return f"Report({self.state} {self.code})"


class Inbound(Struct, frozen=True, kw_only=True):
    """A member wrote to us. It opens the conversation of channels that have one."""

    key: str
    channel: str
    at: datetime
    # who wrote, as a contact point holds it: E.164 number, e-mail address, chat
    sender: str
    # further identifiers, as Message.identifiers
    identifiers: Mapping[str, str] = {}
    text: str = ""
    # the provider's own reading of a keyword; "": it has none, and `text` is to be read by us
    wants: Literal["", "stop", "start", "help"] = ""
    # the provider's id of the message that this one answers
    answers: str = ""
    # what a deep link carried: which member this is
    link: str = ""

    def __repr__(self) -> str:
        """Channel alone."""
        return f"Inbound({self.channel} {self.wants})"


class Preference(Struct, frozen=True, kw_only=True):
    """A choice that a person made at the provider, about all of our messages of a purpose on this channel.

    `stop` is an opt-out. `resume` ends the provider's own block, and is no consent: that takes a new one.
    """

    key: str
    channel: str
    at: datetime
    wants: Literal["stop", "resume"]
    purpose: Literal["marketing", "any"] = "marketing"
    # who chose; "" where only further identifiers are told
    sender: str = ""
    identifiers: Mapping[str, str] = {}
    code: str = ""

    def __repr__(self) -> str:
        """Channel and choice."""
        return f"Preference({self.channel} {self.wants})"


class Review(Struct, frozen=True, kw_only=True):
    """The platform's verdict on one of our approved texts."""

    key: str
    channel: str
    at: datetime
    name: str
    language: str
    # may be used, or must not be until it is approved again
    state: Literal["approved", "stopped"]
    # the platform's word: PAUSED, REJECTED
    code: str


Said = Report | Inbound | Preference | Review


class Heard(Struct, frozen=True, kw_only=True):
    """What one request said, and what to answer once it is kept."""

    said: tuple[Said, ...] = ()
    # entries that could not be read, or say nothing that we keep
    passed_over: int = 0
    # body of the 200 answer
    answer: str = ""
    content_type: str = "text/plain"


class Receiver(Protocol):
    """Reads one kind of request of one provider account."""

    # bytes of a body at most; longer ones are refused before they are read
    limit: int

    def read(self, hook: Hook, now: datetime) -> Heard:
        """What was said; `now` is aware. Raises Forged and Malformed, and nothing else whatever the request holds."""


class AnyOf:
    """Several accounts of one provider, called back at one path: each that can verify a request reads it."""

    def __init__(self, receivers: Sequence[Receiver]) -> None:
        """One or more."""
        self._receivers = tuple(receivers)
        self.limit = max(receiver.limit for receiver in receivers)

    def read(self, hook: Hook, now: datetime) -> Heard:
        """As Receiver; Forged where none of them is called so, with what the last of them found."""
        heard: list[Heard] = []
        forged = Forged("unsigned")
        for receiver in self._receivers:
            try:
                heard.append(receiver.read(hook, now))
            except Forged as error:
                forged = error
        if not heard:
            raise forged
        # numbers of one app share its signature, and each passes over what is told of the others
        passed_over = min(each.passed_over for each in heard)
        return msgspec.structs.replace(
            heard[0], said=once([word for each in heard for word in each.said]), passed_over=passed_over
        )


def once(said: list[Said]) -> tuple[Said, ...]:
    """Each word once, the first of its repeats."""
    kept: dict[str, Said] = {}
    for word in said:
        kept.setdefault(word.key, word)
    return tuple(kept.values())


def fresh(stamp: str, now: datetime, oldest: timedelta) -> None:
    """Raises Forged where a signed time, in Unix seconds, is older than `oldest`, or ahead of any clock."""
    at = instant(stamp, None)
    if at is None:
        raise Forged("bad_timestamp")
    if not now - oldest <= at <= now + SKEW:
        raise Forged("stale")


def instant(stamp: object, fallback: datetime | None) -> datetime | None:
    """Unix seconds, as a number or digits, as an instant; `fallback` where that is none or no real year."""
    if isinstance(stamp, str) and stamp.isascii() and stamp.isdigit() and len(stamp) <= 12:
        stamp = int(stamp)
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not 0 < stamp < 253_402_300_800:
        return fallback
    return datetime.fromtimestamp(stamp, UTC)


def read_json(body: bytes) -> object:
    """The value in these bytes; raises Malformed."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Malformed("not_json") from None


def table(value: object) -> dict[str, object]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[dict[str, object]]:
    """The objects in a list, or none."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def words(value: object, limit: int = 200) -> str:
    """A text or whole number as text, "" for anything else or longer than `limit` characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and len(value) <= limit else ""
