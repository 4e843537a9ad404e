"""The steps of a batch, in order; no rule is inside.

    arrivals ─▶ take (due rows first) ─▶ turn ─▶ step (pure) ─▶ record ─▶ one transaction

`Pipeline.run` takes what has arrived for some partitions, and what is due, and writes all that follows from it in one
guarded transaction. It holds no state of its own but a cache of members that the store's epoch guards.

Each module stands on those below it and on none above (`tool.importlinter` in pyproject.toml):

    pipeline    `Pipeline`: which content is in force, one transaction for each batch
    settling    a batch, taken anew until each of its turns knew what it had to
    taking      one partition's inputs in order: what becomes of an arrival, of a due row
    turns       a turn of one member        house    turns about nobody, and orders that reach all members
    applying    what a turn changes
    aliases     what came for whom another took in and is sent on
    aside       dead letters, duplicates, and what is parked
    partition   how far one partition is: its clock, its chain, the rows it makes
    batch       one batch: what it goes by, what it found, what it leaves
    facts       what the store says         written  what it is to write         rows  the order of due rows
    basis       what a batch goes by and is asked
    known       members in memory           records  what others see: Arrival, Given, Ran
"""

from orchestrator.pipeline.house import house_entries
from orchestrator.pipeline.pipeline import Pipeline, all_approved, nothing_kept
from orchestrator.pipeline.records import UNBOUNDED, Arrival, Given, Ran, TurnFailed, read_outages

__all__ = [
    "UNBOUNDED",
    "Arrival",
    "Given",
    "Pipeline",
    "Ran",
    "TurnFailed",
    "all_approved",
    "house_entries",
    "nothing_kept",
    "read_outages",
]
