"""Circuit breakers: an account that fails again and again is left alone, by every worker, until a call finds it well.

    closed ── failures ──▶ open ── its rest is over ──▶ one call, by one worker ── well ──▶ closed
                            ▲                                    │ not well, or nobody told
                            └──────────── twice the rest ◀───────┘

Failures are counted by each worker for itself: they are the account's own (`retry.fault`), within a window, and half of
the calls there or more. What stands open is a document of the store, changed by compare-and-set, so that all workers
see it, one of them makes the call that finds out, and an operator may close it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Literal

import msgspec
from msgspec import Struct

from orchestrator.channels.contract import Answer
from orchestrator.dispatch.retry import fault
from orchestrator.settings import AccountSettings
from orchestrator.stores.contract import Store

log = logging.getLogger(__name__)

KIND = "breaker"
LONGEST_REST_S = 3600.0
_SECOND = 1_000_000


class Standing(Struct, frozen=True, omit_defaults=True):
    """How a breaker stands. Instants are microseconds since 1970."""

    # 0: closed
    since: int = 0
    # open: no call before this
    until: int = 0
    # times in a row that it opened, the calls included that found the account not well
    trips: int = 0
    # what the account answered last: outcome and code
    said: str = ""

    def state(self, at: int) -> Literal["closed", "open", "half_open"]:
        """Half open: its rest is over, and one call may find out."""
        if not self.since:
            return "closed"
        return "open" if at < self.until else "half_open"


CLOSED = Standing()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Standing).decode


def standing(store: Store, account: str) -> Standing:
    """How the account's breaker stands; closed where it never opened."""
    raw = store.get_document(KIND, account)
    return CLOSED if raw is None else _decode(raw)


def open_breakers(store: Store) -> dict[str, Standing]:
    """account -> how its breaker stands, of those that are open."""
    found = {name: standing(store, name) for name in store.documents(KIND)}
    return {name: stands for name, stands in found.items() if stands.since}


def close_breaker(store: Store, account: str) -> bool:
    """Has the account called again at once; whether its breaker was open."""
    raw = store.get_document(KIND, account)
    was_open = raw is not None and _decode(raw).since > 0
    if was_open:
        store.put_document(KIND, account, _encode(CLOSED))
    return was_open


class Breaker:
    """One account's, as one dispatcher sees and moves it."""

    def __init__(self, store: Store, account: str, bounds: AccountSettings) -> None:
        self._store, self._account, self._bounds = store, account, bounds
        self._raw: bytes | None = None
        self.stands = CLOSED
        # this dispatcher has the call that finds out
        self.probing = False
        # (instant, whether it was a failure) of each call in the window
        self._calls: deque[tuple[int, bool]] = deque()
        self._failures = 0

    def refresh(self) -> None:
        """Reads how it stands."""
        raw = self._store.get_document(KIND, self._account)
        if raw != self._raw:
            self._raw, self.stands = raw, CLOSED if raw is None else _decode(raw)
            if not self.stands.since:
                self.probing = False

    def state(self, at: int) -> Literal["closed", "open", "half_open"]:
        """As `Standing.state`, of what was last seen."""
        return self.stands.state(at)

    def seize(self, at: int) -> bool:
        """Takes the call that finds out, for as long as a rest; False where another worker has it, or it moved."""
        self.probing = self._move(msgspec.structs.replace(self.stands, until=at + self._rest(self.stands.trips)))
        return self.probing

    def learn(self, answer: Answer, at: int) -> None:
        """What a call came to, known at `at`."""
        failed = fault(answer)
        if self.probing:
            self.probing = False
            if failed:
                self._open(answer, at, self.stands.trips + 1)
            elif self._move(CLOSED):
                log.warning("account %s is well again", self._account)
            return
        self._count(at, failed)
        half = 2 * self._failures >= len(self._calls)
        if failed and not self.stands.since and half and self._failures >= self._bounds.failures:
            self._open(answer, at, 1)

    def _count(self, at: int, failed: bool) -> None:
        self._calls.append((at, failed))
        self._failures += failed
        since = at - int(self._bounds.failure_window_s * _SECOND)
        # what lies beyond some thousand calls tells nothing more about a share
        while self._calls and (self._calls[0][0] < since or len(self._calls) > max(2000, 2 * self._bounds.failures)):
            self._failures -= self._calls.popleft()[1]

    def _open(self, answer: Answer, at: int, trips: int) -> None:
        said = f"{answer.kind} {answer.code}".strip()
        since = self.stands.since or at
        self._calls.clear()
        self._failures = 0
        if self._move(Standing(since=since, until=at + self._rest(trips), trips=trips, said=said)):
            log.error("account %s is left alone: it failed again and again (%s)", self._account, said)

    def _rest(self, trips: int) -> int:
        rest_s = min(self._bounds.rest_s * 2 ** min(max(trips, 1) - 1, 20), LONGEST_REST_S)
        return int(rest_s * _SECOND)

    def _move(self, to: Standing) -> bool:
        """Puts `to` where this dispatcher last saw it stand; else reads how it stands now."""
        body = _encode(to)
        if self._store.replace_document(KIND, self._account, self._raw, body, []):
            self._raw, self.stands = body, to
            return True
        self.refresh()
        return False
