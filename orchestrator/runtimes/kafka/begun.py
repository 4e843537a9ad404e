"""Running a coroutine as far as it goes without waiting, so that no task is made for one that never waits."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any


class Begun:
    """A coroutine that began to run and waits for something; awaiting this runs the rest of it."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, object], awaited: Any) -> None:
        self._coroutine, self._awaited = coroutine, awaited

    def __await__(self) -> Generator[Any, Any, object]:
        """What the coroutine returns."""
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is the coroutine's to handle
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration as end:
            return end.value


def begin(coroutine: Coroutine[Any, Any, object]) -> Begun | None:
    """Runs a coroutine up to its first wait: None where it ended without one, else what is left to be awaited.

    Raises what the coroutine raises before it waits.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return Begun(coroutine, awaited)
