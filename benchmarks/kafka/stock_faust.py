"""(a) Faust as its documents show it: an agent that counts events by member in a table.

    python -m benchmarks.kafka.stock_faust BOOTSTRAP TOPIC OUT PARTITIONS EVENTS      prints one line of JSON

Faust's own defaults, JSON decoded by Faust, at least once; the table lies in memory (RocksDB would be slower) and has
its changelog in Kafka. The watch runs from the first event to the last one counted.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
from typing import Any

import faust


def main(bootstrap: str, topic: str, partitions: int, events: int) -> None:
    """Counts so many events, then ends the process."""
    app = faust.App(
        f"bench-faust-{uuid.uuid4().hex[:8]}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        topic_partitions=partitions,
        topic_replication_factor=1,
        value_serializer="json",
        key_serializer="raw",
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        web_enabled=False,
        datadir=tempfile.mkdtemp(),
    )
    counts = app.Table("counts", default=int, partitions=partitions)

    @app.agent(app.topic(topic, partitions=partitions))
    async def count(stream: Any) -> None:
        seen, begin, busy = 0, 0.0, 0.0
        async for event in stream:
            if not seen:
                begin, busy = time.perf_counter(), time.process_time()
            counts[event["subject"]] += 1
            seen += 1
            if seen == events:
                took = {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - busy}
                print(json.dumps({"events": seen, **took}), file=sys.__stdout__, flush=True)
                # it would take its time to stop, or hang
                os._exit(0)

    worker = faust.Worker(app, loglevel="error", redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[4]), int(sys.argv[5]))
