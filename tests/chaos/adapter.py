"""The adapter to the chaos provider: one HTTP call, each answer sorted by what is known of the message afterwards."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from orchestrator.channels.contract import Answer, Message

TIMEOUT_S = 2.0
# a voucher code as the texts show it (project.SHOWN)
_CODE = re.compile(r"\[(\S+)\]")


class HttpAdapter:
    """One account of one channel of the chaos provider."""

    slots = 12

    def __init__(self, channel: str, url: str, about: Callable[[str], tuple[str, str]], account: str = "") -> None:
        """`about` gives the member's reference and the contact's fingerprint of a touch, for the ledger."""
        self.channel, self._account = channel, account or channel
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._about = about

    async def send(self, message: Message) -> Answer:
        """One call; whatever is unclear once a byte may have left is `unknown`."""
        ref, contact = self._about(message.touch_id)
        code = _CODE.search(message.text)
        body = {
            "touch_id": message.touch_id,
            "channel": message.channel,
            "account": self._account,
            "member_ref": ref,
            "contact": contact,
            "to": message.to,
            "code": "" if code is None else code[1],
        }
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return Answer(kind="transient", code="no_connection")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                raw = json.dumps(body).encode()
                writer.write(b"POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(raw), raw))
                await writer.drain()
                answered = await reader.read()
        except (OSError, TimeoutError):
            return Answer(kind="unknown", code="timeout")
        finally:
            writer.close()
        return read_answer(answered)

    async def close(self) -> None:
        """Nothing is pooled."""


def read_answer(raw: bytes) -> Answer:
    """What the provider's answer means; a cut one is in doubt."""
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return Answer(kind="unknown", code="hung_up")
    status = int(head.split(b" ", 2)[1])
    if status == 202:
        return Answer(kind="accepted", provider_id=json.loads(body)["id"])
    if status == 403:
        return Answer(kind="rejected_sender", code="403")
    if status == 429:
        return Answer(kind="throttled", code="429")
    if 400 <= status < 500:
        return Answer(kind="rejected_message", code=str(status))
    return Answer(kind="unknown", code=str(status))
