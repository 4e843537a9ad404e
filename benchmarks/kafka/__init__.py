"""`make bench-kafka`: the Kafka engine beside what its field offers, on one real Kafka and one real PostgreSQL.

stage (servers) ─▶ load (a topic of events) ─▶ rivals and ours, in turn ─▶ latency ─▶ history ─▶ profile
"""
