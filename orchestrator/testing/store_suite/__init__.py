"""What every store must hold. A store's tests subclass `StoreSuite` and say how one is opened.

class TestMine(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path): ...          # an empty store of 4 partitions
    @pytest.fixture
    def reopen(self, store): return ...     # closes it and opens it again; a store that ends with its process: itself
"""

from __future__ import annotations

from orchestrator.testing.store_suite.batches import Batches, Inboxes, Memories, Partitions
from orchestrator.testing.store_suite.books import Misfortunes, Records, Vouchers
from orchestrator.testing.store_suite.fixtures import PARTITIONS, Reopen, attempted, ids, reserve, write
from orchestrator.testing.store_suite.outbox import Claims, Holders, Reservations
from orchestrator.testing.store_suite.stops import Stops

__all__ = ["PARTITIONS", "Reopen", "StoreSuite", "attempted", "ids", "reserve", "write"]


class StoreSuite(
    Partitions, Batches, Memories, Inboxes, Reservations, Holders, Vouchers, Claims, Stops, Misfortunes, Records
):
    """All of it."""
