"""The filters and tests that templates and expressions may use: pure, bounded, and nothing else than these.

Each takes and gives plain data. Texts are announced to the frame before they are built, lists before they are walked.
A missing value is refused by every one of them but `default`, `defined` and `undefined`.
"""

from orchestrator.render.filters import lists, local, tests, text, values  # noqa: F401 - each offers what it has
from orchestrator.render.filters.offering import FILTERS, TESTS
from orchestrator.render.filters.ours import OURS

# names an author may write
OFFERED = frozenset(FILTERS) - frozenset(OURS)

__all__ = ["FILTERS", "OFFERED", "TESTS"]
