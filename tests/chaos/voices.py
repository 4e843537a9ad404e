"""Those who speak up outside the stream: members who opt out, and the provider's receipts, late and repeated.

An opt-out is answered when the store has it; the instant of that answer is written down, and the checker holds every
attempt against it.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import IO, TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError

from orchestrator.channels.webhooks import Report
from orchestrator.dispatch.receipts import OPTING_OUT
from orchestrator.events.inputs import Command, ReceiptState, write_input
from orchestrator.events.partition import partition_of
from orchestrator.members import stands_for
from orchestrator.project import Project
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.replies import Replies
from orchestrator.stores.contract import NewInbox, SuppressionRow
from orchestrator.times import instant
from tests.chaos.evidence import rfc3339
from tests.chaos.plan import OptOut, Plan, name_of

T = TypeVar("T")
MARKETING = "marketing"
POLL_S = 0.3


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def until_it_works(work: Callable[[], T]) -> T:
    """What `work` returns, asked again while the database is away."""
    while True:
        try:
            return work()
        except (DBAPIError, psycopg.Error):
            time.sleep(0.2)


class Voices:
    """Both kinds, in threads of their own; `stop` ends them."""

    def __init__(self, plan: Plan, project: Project, folder: Path) -> None:
        self._plan, self._project = plan, project
        self._ledger = folder / "ledger.jsonl"
        self._optouts = folder / "optouts.jsonl"
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.receipts = 0

    def early(self) -> None:
        """Those who opt out before the first worker starts."""
        for optout in self._plan.optouts:
            if optout.at_s == 0.0:
                self._opt_out(optout)

    def opt_out(self, start: float) -> None:
        """The others, each so long after `start` (seconds since 1970)."""
        for optout in self._plan.optouts:
            wait = start + optout.at_s - time.time()
            if optout.at_s > 0 and not self._stop.wait(max(wait, 0)):
                self._opt_out(optout)

    def opt_out_all(self, touches: Sequence[str]) -> None:
        """Whoever is meant by one of these touches opts out of its channel, now."""
        names = {self._project.vault.member(name_of(member)): member for member in range(self._plan.members)}
        with psycopg.connect(self._project.settings.store.url, connect_timeout=5) as connection:
            asked = "SELECT DISTINCT member, channel FROM touches WHERE touch_id = ANY(%s)"
            held = connection.execute(asked, (list(touches),)).fetchall()
        for key, channel in held:
            self._opt_out(OptOut(0.0, names[bytes(key)], channel))

    def _opt_out(self, optout: OptOut) -> None:
        project, member = self._project, name_of(optout.member)
        key = project.vault.member(member)
        order = Command(verb="suppress", actor="member", arguments={"channel": optout.channel, "purpose": MARKETING})
        since = now()
        # as whoever hears it outside the stream does: of an alias, whom it stands for as well
        names = until_it_works(lambda: stands_for(project.store, project.vault, key))
        silenced = [SuppressionRow(name.hex(), optout.channel, MARKETING, since, "opted_out") for name in names]
        inbox = NewInbox(partition_of(member, project.settings.store.partitions), since, key, write_input(order))
        until_it_works(lambda: project.store.suppress(silenced, [inbox]))
        self._answered(member, "", optout.channel, rfc3339(since))

    def _answered(self, member: str, touch_id: str, channel: str, asked_at: str = "") -> None:
        said = {"answered_at": rfc3339(now()), "asked_at": asked_at, "member": member, "touch_id": touch_id}
        said["channel"] = channel
        with self._lock, self._optouts.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said | {"purpose": MARKETING}) + "\n")

    # --- receipts

    def tell(self) -> None:
        """The provider's later words on what it took, until `stop`; what is still to come then is told at once."""
        hearing = Hearing(self._project.store, self._project.vault, Replies())
        coming: list[tuple[float, int, Report, str]] = []
        ledger: IO[str] | None = None
        while not self._stop.wait(POLL_S):
            if ledger is None:
                ledger = self._ledger.open(encoding="utf-8") if self._ledger.exists() else None
            for line in self._lines(ledger) if ledger else ():
                for after_s, told in later_words(self._plan.seed, line):
                    self.receipts += 1
                    heapq.heappush(coming, (time.monotonic() + after_s, self.receipts, told, line["channel"]))
            due = []
            while coming and coming[0][0] <= time.monotonic():
                due.append(heapq.heappop(coming))
            if due:
                asked_at = rfc3339(now())
                until_it_works(lambda due=due: hearing.hear("chaos", [row[2] for row in due]))  # type: ignore[misc]
                for _, _, told, channel in due:
                    if told.state in OPTING_OUT:
                        self._answered("", told.touch_id, channel, asked_at)
        if ledger is not None:
            ledger.close()

    def stop(self) -> None:
        """Nobody says anything more."""
        self._stop.set()

    def _lines(self, ledger: IO[str]) -> Iterator[dict[str, str]]:
        while True:
            place = ledger.tell()
            line = ledger.readline()
            if not line.endswith("\n"):
                ledger.seek(place)
                return
            yield json.loads(line)


def later_words(seed: int, line: dict[str, str]) -> Iterator[tuple[float, Report]]:
    """(seconds after the call, receipt) of one call: from the seed and the touch, sometimes twice, sometimes late."""
    if line["answer"] not in {"accepted", "hung_up", "slow"}:
        return
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/later/{line['touch_id']}".encode()).digest()[:4], "big") % 100
    state: ReceiptState = (
        "complained" if drawn < 3 else "bounced" if drawn < 4 else "opened" if drawn < 20 else "delivered"
    )
    at, touch = instant(now()).astimezone(UTC), line["touch_id"]
    told = Report(key=f"{touch}/{state}", touch_id=touch, state=state, at=at)
    yield 0.5 + drawn % 10 / 5, told
    if drawn % 10 == 0:
        yield 6.0, told
    if drawn % 17 == 0:
        yield 12.0, Report(key=f"{touch}/late", touch_id=touch, state="delivered", at=at)
