"""The rivals, each a process of its own that reads the same topic from its beginning and says how long it took."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from benchmarks.kafka.stage import Stage, make_topic
from tests.servers import ROOT

HERE = Path(__file__).parent
# an environment of its own, made by `make bench-kafka`: Quix Streams, and the profiler
TOOLS = ROOT / "build" / "quix-env" / "bin"
LIMIT_S = 600


class Took(Struct, frozen=True, kw_only=True):
    """What a rival says of its run."""

    events: int
    wall_s: float
    # processor time of its process
    cpu_s: float


class Rival(NamedTuple):
    """One of them."""

    name: str
    # what a reader should know when comparing
    is_what: str
    # BOOTSTRAP TOPIC OUT PARTITIONS EVENTS follow
    command: tuple[str, ...]

    def missing(self) -> str:
        """Why it can't run here; "" where it can."""
        return "" if Path(self.command[0]).exists() else "not installed here: see `make quix-env`"

    def run(self, stage: Stage, topic: str, partitions: int, events: int) -> Took:
        """One run over so many events of a topic; raises RuntimeError with its last words where it fails."""
        out = f"out-{uuid.uuid4().hex[:8]}"
        make_topic(stage.kafka.bootstrap, out, partitions)
        work = stage.folder / out
        work.mkdir()
        done = subprocess.run(  # noqa: S603 - our own commands
            [*self.command, stage.kafka.bootstrap, topic, out, str(partitions), str(events)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=ROOT,
            # its files go where they are removed, and a developer's own settings play no part
            env={"PATH": os.environ["PATH"], "TMPDIR": str(work), "HOME": str(work), "NO_PROXY": "127.0.0.1"},
        )
        shutil.rmtree(work, ignore_errors=True)
        # Faust's worker turns the cursor off first
        said = [line[line.index("{") :] for line in done.stdout.splitlines() if line.endswith("}")]
        if not said:
            raise RuntimeError(f"{self.name} failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return msgspec.json.decode(said[-1], type=Took)


RIVALS = (
    Rival(
        "(a) stock Faust",
        "an agent that counts by member in a table (in memory, with its changelog), at least once",
        (sys.executable, "-m", "benchmarks.kafka.stock_faust"),
    ),
    Rival(
        "(b) bare aiokafka",
        "reads the JSON and produces the event again; no state",
        (sys.executable, "-m", "benchmarks.kafka.bare_aiokafka"),
    ),
    Rival(
        "(c) Quix Streams",
        "counts by member in RocksDB and produces the count, exactly once; librdkafka",
        (str(TOOLS / "python"), "-P", str(HERE / "quix_counting.py")),
    ),
)
