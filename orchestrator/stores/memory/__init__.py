"""A store in dictionaries: for simulation and tests. It ends with its process."""

from orchestrator.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
