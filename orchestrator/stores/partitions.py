"""What every store asks before a partition is taken."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import SetupError


def in_range(partitions: Iterable[int], of: int) -> None:
    """Raises ValueError for a partition that a store of `of` partitions does not have."""
    for partition in partitions:
        if not 0 <= partition < of:
            raise ValueError(f"partition {partition} is not within 0 and {of - 1}")


class FedElsewhere(SetupError):
    """A partition was fed from another log than the one that it is taken for: its offsets would mean other events."""


def same_source(partition: int, kept: str, source: str) -> None:
    """Raises FedElsewhere where a partition was fed from another log."""
    if kept not in {"", source}:
        raise FedElsewhere(
            f"partition {partition} was fed from {kept} and can't go on from {source}; "
            "name the former cluster and topic in the settings, or begin with an empty store"
        )
