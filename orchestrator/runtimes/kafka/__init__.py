"""Kafka in, SQL transactions between, Kafka and channels out: the production worker.

    topic member-events ─▶ app (Faust) ─▶ decider ─▶ holding: Turner over Pipeline, one SQL transaction a batch
                                                        │
                              dispatching ◀── outbox ◀──┴──▶ contact log ──▶ relay ─▶ topics decisions, touches

Faust gives consumption, the ownership of partitions and the life cycle of the process; all state, offsets included, is
in the store. Only this folder knows Faust, mode, aiokafka or kafka-python.
"""
