"""(c) Quix Streams: counting by member in its state, exactly once, the count produced.

    QUIX-ENV/bin/python -P quix_counting.py BOOTSTRAP TOPIC OUT PARTITIONS EVENTS      prints one line of JSON

Runs in an environment of its own, which knows nothing of ours. The watch runs from the first event to the end of the
checkpoint after the last one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from typing import Any

from quixstreams import Application, State


def main(bootstrap: str, topic: str, out: str, events: int) -> None:
    """Counts so many events."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"bench-quix-{uuid.uuid4().hex[:8]}",
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        auto_create_topics=True,
        state_dir=tempfile.mkdtemp(),
        loglevel="ERROR",
    )
    watch: dict[str, float] = {}

    def count(value: dict[str, Any], state: State) -> dict[str, Any]:
        if not watch:
            watch["wall"], watch["busy"] = time.perf_counter(), time.process_time()
        seen = state.get("count", 0) + 1
        state.set("count", seen)
        return {"subject": value["subject"], "count": seen}

    frame = app.dataframe(app.topic(topic, value_deserializer="json"))
    frame = frame.apply(count, stateful=True).to_topic(app.topic(out, value_serializer="json"))
    app.run(frame, count=events)
    took = {"wall_s": time.perf_counter() - watch["wall"], "cpu_s": time.process_time() - watch["busy"]}
    print(json.dumps({"events": events, **took}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[5]))
