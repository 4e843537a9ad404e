"""(b) What Faust stands on: an aiokafka consumer and producer, nothing between but reading the JSON.

    python -m benchmarks.kafka.bare_aiokafka BOOTSTRAP TOPIC OUT PARTITIONS EVENTS      prints one line of JSON

The watch runs from the first batch to the last record that the broker confirmed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main(bootstrap: str, topic: str, out: str, events: int) -> None:
    """Hands on so many events under their subject."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"bench-bare-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=131072)
    await consumer.start()
    await producer.start()
    seen, begin, busy, sent = 0, 0.0, 0.0, []
    while seen < events:
        batches = await consumer.getmany(timeout_ms=500, max_records=1000)
        if not seen:
            begin, busy = time.perf_counter(), time.process_time()
        for records in batches.values():
            for record in records:
                subject = json.loads(record.value)["subject"]
                sent.append(await producer.send(out, record.value, key=subject.encode()))
                seen += 1
    await asyncio.gather(*sent)
    took = {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - busy}
    print(json.dumps({"events": seen, **took}), flush=True)
    await producer.stop()
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[5])))
