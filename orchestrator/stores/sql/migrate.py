"""Which revision a store is at, and the way to the declared schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import DatabaseError

from orchestrator.errors import SetupError
from orchestrator.stores.sql.engine import connect
from orchestrator.stores.sql.schema import HEAD, shape

SCRIPTS = "orchestrator.stores.sql:migrations"

# PostgreSQL: the number of the lock that one process holds while it looks at the schema or changes it
_ALONE = 7_264_000
_CURES = {
    "sqlite": "check that its folder exists and may be written, and that the file is a SQLite database",
    "postgresql": "check in orchestrator.toml, [store]: url that server, database and user are right, that the server "
    "runs and lets them in, and that a new database is made in UTF8 by a user who may create tables in it",
}


def prepare(engine: Engine, partitions: int) -> None:
    """Makes the tables of an empty database; raises SetupError for one that this version can't use as it is."""
    with _transaction(engine) as connection:
        tables = inspect(connection).get_table_names()
        if not tables:
            lead(connection)
            connection.execute(shape.insert().values(partitions=partitions))
            return
        _check_revision(_revision(connection, tables), _name(engine))
        made_for = connection.execute(select(shape.c.partitions)).scalar_one()
        if made_for != partitions:
            raise SetupError(
                f"{_name(engine)} was made for {made_for} partitions and can't change; "
                f"set in orchestrator.toml, [store]: partitions = {made_for}"
            )


def revision_of(url: str) -> str:
    """The revision of the store at `url`; empty where the database is. Raises SetupError where it is no store."""
    engine = connect(url)
    try:
        with _transaction(engine) as connection:
            tables = inspect(connection).get_table_names()
            if not tables:
                return ""
            revision = _revision(connection, tables)
            _check_known(revision, _name(engine))
            return revision
    finally:
        engine.dispose()


def upgrade(url: str) -> str:
    """Leads an existing store to this version's revision; the revision it was at."""
    engine = connect(url)
    try:
        with _transaction(engine) as connection:
            before = _revision(connection, inspect(connection).get_table_names())
            _check_known(before, _name(engine))
            lead(connection)
            return before
    finally:
        engine.dispose()


def lead(connection: Connection) -> None:
    """Runs the migrations that are missing, within the connection's transaction."""
    # loading Alembic takes longer than opening a store that needs no migration
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection, tables: list[str]) -> str:
    """The revision on record; empty for a database that is no store of ours."""
    if "alembic_version" not in tables or "shape" not in tables:
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def _check_known(revision: str, name: str) -> None:
    if not revision:
        raise SetupError(f"{name} holds tables that are not ours; name another one in orchestrator.toml, [store]: url")
    if revision > HEAD:
        raise SetupError(
            f"{name} is at revision {revision} and this version knows up to {HEAD}; "
            "install the newer version that made it: pip install --upgrade orchestrator"
        )


def _check_revision(revision: str, name: str) -> None:
    _check_known(revision, name)
    if revision < HEAD:
        raise SetupError(
            f"{name} is at revision {revision} and this version needs {HEAD}; make a copy, stop every worker, then: "
            f"python -m orchestrator.stores.sql upgrade {name}"
        )


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    """A writing transaction, alone, so that two processes that open an empty store make its tables once."""
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_ALONE,))
            yield connection
    except DatabaseError as error:
        raise SetupError(f"{_name(engine)} can't be opened ({error.orig}); {_CURES[engine.dialect.name]}") from None
