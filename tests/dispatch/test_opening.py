"""Opening what the outbox holds."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.channels.contract import Message
from orchestrator.dispatch import opening as opening_module
from orchestrator.dispatch.opening import Closed, Opening
from orchestrator.outbox_body import write_body
from orchestrator.stores.memory.store import MemoryStore
from orchestrator.testing.store_rows import touch_row
from orchestrator.times import instant
from orchestrator.vault import KeyFile, Vault

HOUR = 3_600_000_000
MARGIN = timedelta(minutes=2)


def margin(_channel: str, _at: datetime) -> timedelta:
    return MARGIN


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(KeyFile.create(tmp_path / "key"))


class Keys(MemoryStore):
    """A store that knows some keys and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(4)
        self.wrapped: dict[str, bytes] = {}
        self.asked = 0

    def key(self, ref: str) -> bytes | None:
        return self.keys([ref]).get(ref)

    def keys(self, refs: Collection[str]) -> dict[str, bytes]:
        self.asked += 1
        return {ref: self.wrapped[ref] for ref in refs if ref in self.wrapped}


def sealed(vault: Vault, store: Keys, message: Message) -> tuple[str, bytes]:
    """A new member's reference, and the message sealed for them."""
    ref, wrapped, sealer = vault.new_key()
    store.wrapped[ref] = wrapped
    return ref, sealer.seal(write_body(message))


MESSAGE = Message(
    touch_id="t", channel="email", to="a@example.com", purpose="marketing", journey="welcome", locale="en", text="Hello"
)


def test_a_message_is_opened_with_its_members_key(vault: Vault) -> None:
    store = Keys()
    ref, body = sealed(vault, store, MESSAGE)
    opening = Opening(store, vault, margin)
    assert MESSAGE == opening.message(touch_row("t", ref=ref, message=body))


def test_a_key_is_read_once(vault: Vault) -> None:
    store = Keys()
    ref, body = sealed(vault, store, MESSAGE)
    opening = Opening(store, vault, margin)
    for _ in range(3):
        opening.message(touch_row("t", ref=ref, message=body))
    assert store.asked == 1


def test_the_keys_of_a_claim_are_read_at_once(vault: Vault) -> None:
    store = Keys()
    touches = [touch_row("t", ref=ref, message=body) for ref, body in (sealed(vault, store, MESSAGE) for _ in range(3))]
    store.wrapped.pop(touches[1].ref)
    opening = Opening(store, vault, margin)
    opening.prepare(touches)
    assert [MESSAGE, MESSAGE] == [opening.message(touch) for touch in (touches[0], touches[2])]
    opening.prepare([touches[0]])
    assert store.asked == 1
    assert opening.message(touches[1]) is None


def test_the_keys_kept_are_bounded(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening_module, "CACHED_KEYS", 2)
    store = Keys()
    touches = [touch_row("t", ref=ref, message=body) for ref, body in (sealed(vault, store, MESSAGE) for _ in range(3))]
    opening = Opening(store, vault, margin)
    for touch in [*touches, touches[0]]:
        opening.message(touch)
    assert store.asked == 4


def test_nothing_is_opened_for_a_member_whose_key_is_gone(vault: Vault) -> None:
    store = Keys()
    ref, body = sealed(vault, store, MESSAGE)
    store.wrapped.clear()
    assert Opening(store, vault, margin).message(touch_row("t", ref=ref, message=body)) is None


@pytest.mark.parametrize(
    ("at", "closed"), [(HOUR - 1, False), (HOUR, True)], ids=["the last moment", "the hour itself"]
)
def test_hours_close_at_call_by(vault: Vault, at: int, closed: bool) -> None:
    touch = touch_row("t", call_by=HOUR, call_rule="house.email.hours")
    found = Opening(Keys(), vault, margin).permitted(touch, at)
    assert (Closed("house.email.hours", instant(HOUR), instant(HOUR) + MARGIN) if closed else None) == found


def test_a_touch_that_no_hours_bind_is_always_permitted(vault: Vault) -> None:
    assert Opening(Keys(), vault, margin).permitted(touch_row("t", call_by=0), 1 << 60) is None
