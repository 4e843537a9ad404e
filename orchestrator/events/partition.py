"""Which partition a member belongs to: murmur2 as Kafka's Java client has it (org.apache.kafka.common.utils.Utils).

Other clients' defaults differ, so producers and this project share this one function.
"""

from __future__ import annotations


def murmur2(key: bytes) -> int:
    """Kafka's 32-bit murmur2 of `key`, unsigned."""
    length = len(key)
    h = (0x9747B28C ^ length) & 0xFFFFFFFF
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * 0x5BD1E995 & 0xFFFFFFFF
        k = (k ^ (k >> 24)) * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 & 0xFFFFFFFF) ^ k
    if whole < length:
        h = (h ^ int.from_bytes(key[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ (h >> 13)) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ (h >> 15)


def partition_of(member: str, partitions: int) -> int:
    """The partition (0 ≤ p < partitions) of a member, as Kafka's default partitioner puts its key."""
    return (murmur2(member.encode()) & 0x7FFFFFFF) % partitions
