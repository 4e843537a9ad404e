"""Where a worker's time goes: samples of whoever holds Python's lock, sorted by what they were at.

py-spy looks from outside, 200 times a second, and sees only the thread that computes. What waits, for PostgreSQL or for
Kafka, computes nothing and is not in the shares.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.kafka.rivals import TOOLS
from tests.kafka.workers import Running

# what a sample may be at, and what its stack then names
Parts = tuple[tuple[str, tuple[str, ...]], ...]
SECONDS = 10
# what a sample was at: the first of these that its stack names
PARTS: Parts = (
    ("deciding: step", ("step (orchestrator/decide/step.py", "needs (orchestrator/decide/step.py")),
    ("sealing", ("orchestrator/vault.py",)),
    ("hash chain", ("orchestrator/contact_log/chain.py",)),
    ("SQL of batches", ("PostgresBatch", "stores/sql/postgres/writer.py")),
    ("decoding", ("Decider._read",)),
    ("pipeline, around step", ("orchestrator/pipeline/", "runtimes/kafka/holding.py")),
    ("relay", ("runtimes/kafka/relay.py",)),
    ("dispatch", ("orchestrator/dispatch/", "stores/sql/postgres/outbox.py", "SinkAdapter", "dispatching.py")),
    ("Kafka: consuming", ("Consumer._hand_on", "aiokafka/consumer/", "runtimes/kafka/fetched.py", "decider.py")),
    ("Kafka: producing, connections", ("aiokafka/",)),
    ("Faust", ("faust/", "mode/")),
)
REST = "event loops, the rest"


def missing() -> str:
    """Why there can be no profile; "" where there can."""
    return "" if (TOOLS / "py-spy").exists() else "no py-spy: see `make quix-env`"


def begin(worker: Running, out: Path) -> subprocess.Popen[bytes]:
    """Begins to look at a worker; `shares` waits for it."""
    command = [str(TOOLS / "py-spy"), "record", "--pid", str(worker.process.pid), "--gil", "--rate", "200"]
    return subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--duration", str(SECONDS), "--format", "raw", "--output", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def shares(looking: subprocess.Popen[bytes], out: Path) -> dict[str, float]:
    """What the worker was at -> share of the samples, the largest first; empty where nobody was let to look."""
    looking.wait(SECONDS * 6)
    return counted(out.read_text(encoding="utf-8").splitlines()) if out.exists() else {}


def counted(lines: Iterable[str], parts: Parts = PARTS) -> dict[str, float]:
    """The same of folded stacks, root first, each with its number of samples."""
    counts = Counter[str]()
    for line in lines:
        # the benchmark's own entry stands at the root of every stack
        stack, _, samples = line.replace("benchmarks/kafka/worker.py", "").rpartition(" ")
        part = next((name for name, marks in parts if any(mark in stack for mark in marks)), REST)
        counts[part] += int(samples)
    return {part: round(n / counts.total(), 3) for part, n in counts.most_common()}
