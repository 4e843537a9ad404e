"""Local times and days of a source, as instants; exact on the days when clocks change."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.ingest.refusal import RowRefused


class LocalClock(Struct, frozen=True):
    """A zone, and what a local time means that comes twice, or never, on the day the clocks change."""

    zone: ZoneInfo
    repeated_hour: Literal["first", "second", "refuse"] = "first"
    skipped_hour: Literal["refuse", "later"] = "refuse"

    def instant(self, at: datetime, field: str) -> datetime:
        """The UTC instant of an aware or naive datetime.

        Raises RowRefused (`skipped_hour`, `repeated_hour`, `out_of_range`).
        """
        try:
            if at.tzinfo is not None:
                return at.astimezone(UTC)
            return self._local(at, field)
        except OverflowError:
            raise RowRefused(field, "out_of_range", "give a time within the years 1 to 9999") from None

    def _local(self, naive: datetime, field: str) -> datetime:
        before = naive.replace(tzinfo=self.zone, fold=0)
        after = naive.replace(tzinfo=self.zone, fold=1)
        first = before.astimezone(UTC)
        if before.utcoffset() == after.utcoffset():
            return first
        if first.astimezone(self.zone).replace(tzinfo=None) != naive:
            if self.skipped_hour == "refuse":
                raise RowRefused(field, "skipped_hour", "clocks skip this hour; give UTC, or set skipped_hour: later")
            return first
        if self.repeated_hour == "refuse":
            raise RowRefused(field, "repeated_hour", "this hour comes twice; give UTC, or set repeated_hour")
        return first if self.repeated_hour == "first" else after.astimezone(UTC)


def last_day(year: int, month: int) -> int:
    """The number of the last day of a month; raises ValueError for no month."""
    try:
        return calendar.monthrange(year, month)[1]
    except calendar.IllegalMonthError as error:
        raise ValueError(str(error)) from None
