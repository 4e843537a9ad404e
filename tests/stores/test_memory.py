"""The memory store holds what every store holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.stores.contract import Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.store_suite import PARTITIONS, StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(PARTITIONS)

    @pytest.fixture
    def reopen(self, store: Store) -> Callable[[], Store]:
        # it ends with its process: nothing to open again
        return lambda: store
