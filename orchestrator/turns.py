"""A turn of the journal, opened: the inputs and the shared facts that `step` was given then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from orchestrator.decide.rules import RegistryState
from orchestrator.decide.shared import Shared
from orchestrator.events.catalogue import EventTypes
from orchestrator.events.envelope import read_event
from orchestrator.events.inputs import EventInput, Input, read_input
from orchestrator.links import Links
from orchestrator.pipeline import Given, read_outages
from orchestrator.stores.contract import JournalRow
from orchestrator.times import instant
from orchestrator.vault import Sealer, Vault

_recorded: msgspec.json.Decoder[tuple[Given | None, msgspec.Raw]] = msgspec.json.Decoder(
    tuple[Given | None, msgspec.Raw]
)


class Turn(NamedTuple):
    """What `step` is asked of one turn, beside the member and the content."""

    now: datetime
    inputs: tuple[Input, ...]
    shared: Shared


def opened(rows: Sequence[JournalRow], sealer: Sealer, vault: Vault, types: EventTypes) -> Turn:
    """The rows of one member's turn, in order; `types` are those of the content it was decided by.

    Raises Tampered for a row that can't be opened.
    """
    inputs: list[Input] = []
    given: Given | None = None
    for row in rows:
        given, raw = _recorded.decode(sealer.open(row.input))
        inputs.append(EventInput(read_event(bytes(raw), types)) if row.kind == "event" else read_input(bytes(raw)))
    shared = Shared(
        key=vault.id_key,
        fingerprint=vault.fingerprint,
        links=Links(vault),
        new_ref=rows[0].ref,
        registries=_registries(given),
        touches={} if given is None else given.touches,
        paused=frozenset() if given is None else frozenset(given.paused),
        stopped=frozenset() if given is None else frozenset(given.stopped),
        unapproved=frozenset() if given is None else frozenset(given.unapproved),
        outages={} if given is None else read_outages(given.outages),
        points={} if given is None else given.points,
        vouchers={} if given is None else given.vouchers,
    )
    return Turn(instant(rows[0].at), tuple(inputs), shared)


def about_nobody(rows: Sequence[JournalRow]) -> tuple[Input, ...]:
    """The inputs of a turn about no member, which is not sealed."""
    return tuple(read_input(bytes(_recorded.decode(row.input)[1])) for row in rows)


def _registries(given: Given | None) -> dict[tuple[str, str], RegistryState]:
    found: dict[tuple[str, str], RegistryState] = {}
    for name, (listed, checked_at) in ({} if given is None else given.registries).items():
        registry, _, contact = name.rpartition("/")
        found[registry, contact] = RegistryState(listed, None if checked_at is None else instant(checked_at))
    return found
