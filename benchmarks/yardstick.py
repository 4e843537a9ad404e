"""What this machine does at this moment: a fixed piece of pure Python, measured in the same process as each figure.

Machines are noisy and differ, so a rate alone says little; a rate over the yardstick's, taken in one run, can be
compared with that of another day. One piece is what any event costs at the least: a purchase of 280 bytes read as
JSON into a dictionary, hashed, and written into a list.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import NamedTuple

EVENT = json.dumps(
    {
        "specversion": "1.0",
        "id": "31198570044",
        "source": "/programmes/complete-journey",
        "type": "purchase.completed",
        "subject": "900",
        "time": "2017-01-01T11:53:26Z",
        "data": {
            "purchase_id": "31198570044",
            "amount": 1250,
            "currency": "USD",
            "lines": 4,
            "store": "330",
            "category": "PASTRY",
        },
    }
).encode()
PIECES = 4_000


class Spent(NamedTuple):
    """What a piece of work took."""

    # by the clock on the wall
    wall_s: float
    # of this process, all threads; what others do on the machine does not count
    cpu_s: float


def timed(work: Callable[[], object]) -> Spent:
    """How long `work` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def pieces_per_cpu_s() -> float:
    """The yardstick: pieces per second of processor time, the best of seven tries of about 20 ms."""
    return PIECES / min(timed(_pieces).cpu_s for _ in range(7))


def _pieces() -> None:
    seen: list[tuple[str, bytes]] = []
    for _ in range(PIECES):
        event = json.loads(EVENT)
        seen.append((event["subject"], hashlib.sha256(EVENT).digest()))
