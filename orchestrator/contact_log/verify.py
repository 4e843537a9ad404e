"""Whether the contact log of a store is whole and unaltered, by its chains, its heads and a signed checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.contact_log.chain import GENESIS
from orchestrator.contact_log.checkpoint import Checkpoint
from orchestrator.contact_log.walk import Ends, Fault, Faults, Walked, reach, walk
from orchestrator.stores.contract import LogRow, Progress, Store


class VerifyReport(Struct, frozen=True, kw_only=True):
    """What the verification of a log came to."""

    # whether nothing is wrong
    ok: bool
    # entries read
    entries: int
    # partitions that hold any entry
    partitions: int
    # how many faults there are; the first hundred are in `faults`
    found: int
    faults: tuple[Fault, ...]
    # number and time of the checkpoint compared with; None: the chain alone was checked
    checkpoint: int | None = None
    checkpoint_at: str | None = None


def verify(
    store: Store,
    checkpoint: Checkpoint | None = None,
    public_key: bytes | None = None,
    *,
    since: Checkpoint | None = None,
) -> VerifyReport:
    """Checks the whole log of a store, its heads, and where given, that it continues what `checkpoint` signed.

    `checkpoint` (see `checkpoint.read`, which checks its signature) is one that was exported to where the store's
    operator can't reach; without one, a cut tail and a recomputed chain go unseen if `progress` was changed to match.
    `public_key` is the key that it must name, as written down when the project was set up. With `since`, entries up to
    that checkpoint are taken as verified. May run beside a working engine: what arrives meanwhile is checked too.
    """
    faults, starts = Faults(), since.ends if since else {}
    if checkpoint is not None and public_key is not None and checkpoint.public_key != public_key.hex():
        faults.add(-1, 0, "signature", f"checkpoint {checkpoint.number} was signed with another key")
    marks = checkpoint.marks if checkpoint else {}
    before = {row.partition: row for row in store.progress()}
    walked = walk(_rows(store, starts), faults, marks=marks, starts=starts)
    after = {row.partition: row for row in store.progress()}
    for partition in sorted(before.keys() | walked.ends.keys()):
        end = walked.ends.get(partition, (0, GENESIS))
        _compare(partition, end, before.get(partition), after.get(partition), faults)
    reach(marks, walked, faults)
    return report(walked, faults, checkpoint)


def report(walked: Walked, faults: Faults, checkpoint: Checkpoint | None) -> VerifyReport:
    """The report of a walk."""
    return VerifyReport(
        ok=not faults.found,
        entries=walked.entries,
        partitions=sum(n > 0 for n, _ in walked.ends.values()),
        found=faults.found,
        faults=tuple(faults.kept),
        checkpoint=checkpoint.number if checkpoint else None,
        checkpoint_at=checkpoint.at if checkpoint else None,
    )


def _rows(store: Store, starts: Ends) -> Iterator[LogRow]:
    """All entries after `starts`, by (partition, n), those of partitions that should not exist included."""
    if not starts:
        yield from store.log()
        return
    for partition in sorted(starts.keys() | set(range(store.partitions))):
        yield from store.log(partition=partition, after=starts.get(partition, (0, GENESIS))[0])


def _compare(
    partition: int, end: tuple[int, bytes], before: Progress | None, after: Progress | None, faults: Faults
) -> None:
    """The chain's end against `progress` as it was before and after the chain was read.

    Rows and progress are written together: what was on record before must have been read, and what was read must be
    on record after.
    """
    n, head = end
    if before is not None and n < before.log_n:
        faults.add(partition, n + 1, "tail_cut", f"the end is cut off: {before.log_n} entries are on record, {n} there")
    elif after is None or n > after.log_n:
        faults.add(partition, n, "inserted", f"the record ends at entry {after.log_n if after else 0}")
    elif n == after.log_n and head != after.head:
        faults.add(partition, n, "head", "it is the last one, and its hash is not the one on record")
