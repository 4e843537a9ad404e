"""One recording, lived by the embedded engine and by one, two and four workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from orchestrator.decide.content import Content
from orchestrator.stores.contract import Store
from orchestrator.testing.canonical import Canonical, Difference, canonical, differences
from orchestrator.vault import KeyFile, Vault
from tests.kafka.workers import WITHIN_S, Town
from tests.parity import engines, grocer, history, quick, recording
from tests.parity.recording import DAY, Recording
from tests.servers import Kafka, Postgres

PARTITIONS = 8
WORKERS = (1, 2, 4)
# 0 stands for the embedded one
ENGINES = (0, *WORKERS)
SEED = 1
# records a second that the slowest of machines applies
SLOWEST = 20


class Scale(NamedTuple):
    """How much is lived."""

    # of the generated history
    members: int
    # of the grocer's; None: all of them
    households: int | None


class Ran(NamedTuple):
    """One engine after it lived the recording."""

    store: Store
    log: Canonical


class Runs(NamedTuple):
    """The recording, and what came of it everywhere."""

    # as the topic of the single worker holds it
    recording: Recording
    # case -> its members' names, by their keyed hashes
    members: dict[str, dict[bytes, str]]
    # records in a partition that is not their member's
    astray: int
    vault: Vault
    content: Content
    # by number of workers
    towns: dict[int, Town]
    # by ENGINES
    ran: dict[int, Ran]

    def log(self, engine: int, case: str) -> Canonical:
        """A case's part of the log."""
        return {whose: entries for whose, entries in self.ran[engine].log.items() if whose[0] in self.members[case]}

    def relived(self, altered: Recording, file: Path) -> list[Difference]:
        """What an altered recording makes of the embedded engine's log; `file` is made."""
        with engines.embedded(file, PARTITIONS, altered, self.vault, self.content) as store:
            return differences(self.ran[0].log, canonical(store))

    def named(self, found: list[Difference]) -> set[str]:
        """Whose entries differ."""
        names = {key: name for case in self.members.values() for key, name in case.items()}
        return {names[difference.whose[0]] for difference in found}


@contextmanager
def lived(folder: Path, kafka: Kafka, postgres: Postgres, scale: Scale, data: Path | None) -> Iterator[Runs]:
    """Everything lived once; the grocer's month (`data`) follows the generated history, so that workers start once.

    All keep their keys in one file, the same each time: what comes to pass hangs on keyed ids.
    """
    keys = _fixed_keys(folder / "keys")
    with ExitStack() as stack:
        towns = {}
        for workers in WORKERS:
            url = postgres.fresh_database()
            stack.callback(postgres.drop, url)
            town = towns[workers] = Town(folder / f"workers-{workers}", kafka, url, PARTITIONS, keys)
            stack.callback(town.close)
            quick.write(town.folder / "templates")
        vault, content = towns[1].project.vault, towns[1].project.content

        made = history.generate(SEED, scale.members, PARTITIONS, vault)
        bought = grocer.month(data, folder / "grocer", scale.households, PARTITIONS) if data is not None else ()
        rest = (*made.second, *bought)
        # silences of thirty days come to their end
        end = history.marks(PARTITIONS, max(record.at for record in rest) + 40 * DAY)
        parts = (made.first, made.astray, (*rest, *end))
        planned = recording.make(sum(parts, ()), made.orders, vault, content, PARTITIONS, SEED)

        for workers, town in towns.items():
            town.store.suppress([], planned.heard)
            engines.start(town, workers)
        for town in towns.values():
            engines.until_shared(town)
        astray = len(made.astray)
        for part, forwarded in zip(parts, (0, astray, astray), strict=True):
            for town in towns.values():
                engines.tell(town, part)
            for town in towns.values():
                engines.until_applied(town, forwarded, WITHIN_S + len(part) / SLOWEST)

        arrived = Recording(engines.told(towns[1]), planned.heard)
        embedded = engines.embedded(folder / "embedded.db", PARTITIONS, arrived, vault, content)
        stores = {0: stack.enter_context(embedded)} | {workers: town.store for workers, town in towns.items()}
        names = {"generated": made.members, "grocer": {record.key.decode() for record in bought if record.key}}
        yield Runs(
            recording=arrived,
            members={case: {vault.member(name): name for name in known} for case, known in names.items()},
            astray=astray,
            vault=vault,
            content=content,
            towns=towns,
            ran={engine: Ran(store, canonical(store)) for engine, store in stores.items()},
        )


def _fixed_keys(path: Path) -> Path:
    secret = bytes(range(32))
    made = KeyFile(created=history.START, master=secret, id=secret, signing=secret, dead=secret, dead_week=0)
    path.touch(0o600)
    path.write_bytes(msgspec.json.encode(made))
    return path
