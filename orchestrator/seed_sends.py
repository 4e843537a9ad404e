"""A text as its readers will get it, sent to the people who look it over: `orchestrator template test-send`.

Seeds are colleagues, not members: no rule is asked, nothing is decided and the contact log holds nothing of it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from msgspec import Struct

from orchestrator.channels.accounts import Account, close
from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Message
from orchestrator.channels.load import load_accounts
from orchestrator.content.preview import Preview
from orchestrator.decide.content import Sender
from orchestrator.errors import UsageError
from orchestrator.events.inputs import AnswerKind
from orchestrator.settings import Settings

MARK = "[Test] "


class SeedSent(Struct, frozen=True, kw_only=True):
    """What became of the call for one seed."""

    # its place in the list, from 1: addresses are not told
    seed: int
    # the provider account that was called
    account: str
    answer: AnswerKind
    # the provider's own code
    code: str = ""


def send_to_seeds(words: Preview, sender: Sender, settings: Settings, project: Path) -> list[SeedSent]:
    """Sends these words to each of `[seeds]` of their channel, by the channel's first account, one after the other.

    The subject of an e-mail begins with a mark; the opt-out link is a sample's and opens nothing, so that no
    List-Unsubscribe header offers it. Raises UsageError where the channel has no seeds, SetupError as `load_accounts`.
    """
    seeds = settings.seeds.get(words.channel, [])
    if not seeds:
        raise UsageError(f"nobody looks over texts on {words.channel}: name addresses under [seeds] {words.channel}")
    accounts = load_accounts(settings, project)
    if words.channel not in accounts:
        raise UsageError(f"nothing is sent on {words.channel}: [dispatch.adapters] names no account for it")
    account = accounts[words.channel][0]

    async def send_all() -> list[Answer]:
        try:
            return [await _send(account, _message(words, seed, sender, settings.programme)) for seed in seeds]
        finally:
            await close(accounts)

    return [
        SeedSent(seed=i, account=account.name, answer=answer.kind, code=answer.code)
        for i, answer in enumerate(asyncio.run(send_all()), start=1)
    ]


async def _send(account: Account, message: Message) -> Answer:
    refused = refusal(message, account.adapter.capabilities, datetime.now(UTC))
    return await account.adapter.send(message) if refused is None else refused


def _message(words: Preview, to: str, sender: Sender, programme: str) -> Message:
    return Message(
        # of no touch: what the provider says of it later finds nobody
        touch_id=str(uuid4()),
        channel=words.channel,
        to=to,
        purpose=words.purpose,
        journey=words.journey,
        locale=words.locale,
        subject=f"{MARK}{words.subject}" if words.subject else "",
        html=words.html,
        text=words.text,
        sender_name=sender.name or programme,
        sender=sender.address,
        reply_to=sender.reply_to,
        template=words.template,
        content_sid=words.content_sid,
        template_language=words.template_language,
        variables=words.variables,
        media=words.media,
    )
