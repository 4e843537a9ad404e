"""The machine's clocks, read in one place; what decides is handed the time instead."""

from __future__ import annotations

import time

# macOS has none: its monotonic clock stands still while the machine sleeps
_THROUGH_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def wall_clock() -> int:
    """Microseconds since 1970; may be set back or forth."""
    return time.time_ns() // 1_000


def elapsed() -> int:
    """Microseconds since some moment; passes evenly, also while this process or the machine stands still."""
    return time.clock_gettime_ns(_THROUGH_SLEEP) // 1_000
