"""Places in a worker where a fault is worth most: between the lines whose order a promise rests on.

A worker looks for a file named after itself and the place; where there is one it removes it, and stops (SIGSTOP) or
dies (SIGKILL) right there. The run puts the files.

    claimed      a touch is claimed, the attempt is not on record yet
    attempted    the attempt is on record, the call is not made yet
    called       the provider has answered, the outcome is not on record yet
    batch        a batch with events in it is about to open its transaction
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WHERE = "CHAOS_POINTS"
DEEDS = {"freeze": signal.SIGSTOP, "kill": signal.SIGKILL}


def arm(folder: Path, pid: int, deed: str, point: str) -> Path:
    """Puts the file; the worker that meets it does the deed. Returned, so that an unmet one can be taken away."""
    path = folder / f"{pid}.{point}.{deed}"
    path.touch()
    return path


def meet(point: str) -> None:
    """In a worker: does what was armed for this place, once."""
    folder = os.environ.get(WHERE)
    if not folder:
        return
    for deed, number in DEEDS.items():
        path = Path(folder) / f"{os.getpid()}.{point}.{deed}"
        if path.exists():
            path.unlink(missing_ok=True)
            os.kill(os.getpid(), number)


class PointedStore:
    """A store that passes everything on, and meets the points on its way."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def claim(self, *args: Any, **more: Any) -> Sequence[Any]:
        claims: Sequence[Any] = self._store.claim(*args, **more)
        if claims:
            meet("claimed")
        return claims

    def attempt(self, claims: Sequence[Any], now: Any) -> Sequence[Any]:
        held: Sequence[Any] = self._store.attempt(claims, now)
        if held:
            meet("attempted")
        return held


def after_call(send: Callable[..., Any]) -> Callable[..., Any]:
    """An adapter's `send` that meets the point `called` once it is answered."""

    async def sent(message: Any) -> Any:
        answer = await send(message)
        meet("called")
        return answer

    return sent


def before_batch(run: Callable[..., Any]) -> Callable[..., Any]:
    """A pipeline's `run` that meets the point `batch` where it was given events."""

    def ran(pipeline: Any, held: Any, arrivals: Any, *args: Any, **more: Any) -> Any:
        if any(arrivals.values()):
            meet("batch")
        return run(pipeline, held, arrivals, *args, **more)

    return ran
