"""The event types that are known: the engine's own, and those that a project declares by a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from orchestrator.events.types import EVENT_TYPES, Data


class OwnType(NamedTuple):
    """An event type that a project declared."""

    # the file's name, such as booking.confirmed.v1.json
    file: str
    # what its data is read into; None where the schema is not sound
    kind: type[Data] | None
    # data of one such event, as its schema shows it
    example: Mapping[str, object] = {}


class EventTypes:
    """The types by their names; never changed once it is made."""

    __slots__ = ("_decoders", "kinds", "names", "own")

    def __init__(self, own: Mapping[str, OwnType] | None = None) -> None:
        """The engine's types and `own`, which has none of the engine's names."""
        self.own: Mapping[str, OwnType] = {} if own is None else dict(own)
        sound = {name: declared.kind for name, declared in self.own.items() if declared.kind is not None}
        # type -> what its data is read into
        self.kinds: Mapping[str, type[Data]] = {**EVENT_TYPES, **sound}
        # those too whose schema is not sound: whoever names them names something
        self.names: tuple[str, ...] = (*EVENT_TYPES, *self.own)
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            name: msgspec.json.Decoder(kind) for name, kind in self.kinds.items()
        }

    def decoder(self, name: str) -> msgspec.json.Decoder[Any] | None:
        """What reads the data of a type; None for a type that is not known."""
        return self._decoders.get(name)

    def file(self, name: str) -> str:
        """Where the schema of a type lies in a project."""
        declared = self.own.get(name)
        return f"schemas/events/{name}.v1.json" if declared is None else f"schemas/events/{declared.file}"


# what every project knows
ENGINE = EventTypes()
