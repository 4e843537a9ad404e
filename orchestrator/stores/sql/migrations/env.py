"""Runs migrations on the connection that `stores.sql.migrate` hands over."""

from __future__ import annotations

from alembic import context

from orchestrator.stores.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
# the caller's transaction is the one: all of it or nothing
context.run_migrations()
