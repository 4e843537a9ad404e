"""The store in SQL: one schema, one set of hot words for each dialect. SQLite for now."""

from orchestrator.stores.sql.store import SqlStore

__all__ = ["SqlStore"]
