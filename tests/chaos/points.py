"""Places in a worker where a fault is worth most: between the lines whose order a promise rests on.

A worker looks for a file named after the place; where there is one it puts its own name on it, with what it holds, and
stops (SIGSTOP) or dies (SIGKILL) right there. The run puts the files; one worker alone gets each, whoever comes first.

    claimed      a touch is claimed, the attempt is not on record yet
    attempted    the attempt is on record, the call is not made yet
    called       the provider has answered, the outcome is not on record yet
    batch        a batch with events in it is about to open its transaction
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

WHERE = "CHAOS_POINTS"
DEEDS = {"freeze": signal.SIGSTOP, "kill": signal.SIGKILL}


class Met(NamedTuple):
    """A worker that came by."""

    pid: int
    # the touches it held
    touches: tuple[str, ...]


class Trap:
    """One deed at one point, for the first worker that comes by."""

    def __init__(self, folder: Path, deed: str, point: str) -> None:
        """Sets it."""
        self._path = folder / f"{point}.{deed}"
        self._folder, self._name = folder, self._path.name
        self._path.touch()

    def met(self) -> Met | None:
        """Who came by; None where nobody did yet."""
        for path in self._folder.glob(f"*.{self._name}"):
            # written before it is given this name
            touches = tuple(path.read_text(encoding="utf-8").split())
            path.unlink()
            return Met(int(path.name.partition(".")[0]), touches)
        return None

    def withdraw(self) -> bool:
        """Takes it away; False where somebody came by in this very moment."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


def meet(point: str, touches: Iterable[str] = ()) -> None:
    """In a worker: does what was set for this place, unless another one came first; `touches` are what it holds."""
    folder = os.environ.get(WHERE)
    if not folder:
        return
    for deed, number in DEEDS.items():
        name = f"{point}.{deed}"
        if not Path(folder, name).exists():
            continue
        mine = Path(folder, f"{os.getpid()}-{name}")
        try:
            Path(folder, name).rename(mine)
        except FileNotFoundError:
            continue
        mine.write_text("\n".join(touches), encoding="utf-8")
        mine.rename(Path(folder, f"{os.getpid()}.{name}"))
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
            meet("claimed", (claim.touch.touch_id for claim in claims))
        return claims

    def attempt(self, claims: Sequence[Any], now: Any, account: str = "") -> Sequence[Any]:
        held: Sequence[Any] = self._store.attempt(claims, now, account)
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
