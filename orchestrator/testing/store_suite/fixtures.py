"""How the store under test is opened, and the small hands of its tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orchestrator.stores.contract import (
    Changes,
    Claim,
    Store,
    TouchRow,
)
from orchestrator.testing.store_rows import (
    Owner,
)

PARTITIONS = 4
Reopen = Callable[[], Store]


def reserve(store: Store, *touches: TouchRow) -> Owner:
    """An owner that put these touches into the outbox."""
    owner = Owner(store, range(store.partitions))
    owner.commit(owner.step(0), reserved=touches)
    return owner


def write(store: Store, *changes: Changes, then: type[BaseException] | None = None) -> None:
    """A batch that writes these, whose block may be left by an exception."""
    with store.batch([before for before, _ in changes[0].progress]) as batch:
        for each in changes:
            batch.write(each)
        if then:
            raise then


def ids(claims: Sequence[Claim]) -> list[str]:
    """Touch ids in their order."""
    return [claim.touch.touch_id for claim in claims]


def attempted(store: Store, now: int = 10, lease: int = 90) -> list[TouchRow]:
    """Everything callable, attempting."""
    return [claim.touch for claim in store.attempt(store.claim(now, lease, "token", 100), now)]


class StoreFixtures:
    """How the store under test is opened."""

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError("give the fixture `store`: an empty store of 4 partitions")

    @pytest.fixture
    def reopen(self) -> Any:
        raise NotImplementedError("give the fixture `reopen`: closes the store and opens it again")
