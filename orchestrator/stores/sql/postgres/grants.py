"""Who may do what, as roles of the database: five that can't log in, to be granted to those that do.

    owner          decides: everything a batch writes. Log and journal are added to, never changed
    inbox_writer   dispatcher, command line: inbox, where touches stand, suppressions, switches, revisions
    server         `serve` with Kafka: what members and providers say, and a member's own record, which pages show them
    relay          reads the log and dead letters, moves its cursors
    reader         reads

A login role that does several kinds of work is made a member of several. All workers log in as one role, so that one
may end another's session (see taking.py).
"""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from orchestrator.errors import SetupError, UsageError
from orchestrator.stores.sql.engine import connect
from orchestrator.stores.sql.schema import metadata

_ALL = (*sorted(metadata.tables), "alembic_version")
# what opening a store asks
_OPENING = ("alembic_version", "shape")

# role -> right -> tables. A table's columns in brackets narrow the right to them
RIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "owner": {
        "SELECT": _ALL,
        "INSERT": (
            *("progress", "members", "keys", "journal", "seen", "log", "inbox", "touches", "suppressions", "dead"),
            *("holders", "parked", "quarantine", "tries", "totals", "daily", "positions", "documents", "contacts"),
            "pools",
        ),
        "UPDATE": (
            *("progress", "members", "keys", "touches", "suppressions", "quarantine", "tries", "totals", "daily"),
            # to lock them
            *("holders", "positions", "documents"),
            *("vouchers (code, touch_id, ref)", "pools (told)"),
        ),
        "DELETE": ("keys", "inbox", "suppressions", "parked", "quarantine", "contacts"),
    },
    "inbox_writer": {
        "SELECT": (
            *_OPENING,
            *("progress", "inbox", "touches", "keys", "suppressions", "switches", "documents", "registries", "listed"),
            # an order names a member who is known, or in quarantine
            *("members (partition, member, ref, erased)", "quarantine"),
            # to load codes is to say which are there, not to read them
            *("vouchers (seq, pool, fingerprint, touch_id)", "pools"),
        ),
        "INSERT": (*("inbox", "suppressions", "switches", "documents", "registries", "listed", "vouchers", "pools"),),
        "UPDATE": (
            "touches (state, token, lease_until, due, attempts, attempted_at, account)",
            *("suppressions (since, reason)", "switches", "documents", "registries", "pools (told)"),
        ),
        "DELETE": ("switches", "listed"),
    },
    "server": {
        "SELECT": (
            *_OPENING,
            *("members", "keys", "contacts", "suppressions", "touches", "heard"),
            # whether it is ready to serve
            "switches",
        ),
        "INSERT": ("inbox", "suppressions", "heard"),
        # of `heard` to lock what is forgotten
        "UPDATE": ("touches (state, token, lease_until)", "suppressions (since, reason)", "heard (day)"),
        "DELETE": ("heard",),
    },
    "relay": {
        "SELECT": (*_OPENING, "progress", "log", "cursors", "dead"),
        "INSERT": ("cursors",),
        "UPDATE": ("cursors (n)",),
    },
    "reader": {"SELECT": _ALL},
}
_MAKE_ROLE = """DO $$ BEGIN CREATE ROLE {} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
_NUMBERED = {
    "owner": ("inbox", "dead", "parked"),
    "inbox_writer": ("inbox", "vouchers"),
    "server": ("inbox",),
}


class Granted(Struct, frozen=True, kw_only=True):
    """What `store grants` did, or would do."""

    # the roles, made where they were not there
    roles: list[str]
    # the statements, in order; to be repeated whenever the schema changes
    statements: list[str]


def grants(prefix: str, schema: str) -> Granted:
    """The statements that lead to exactly these rights, whatever the roles could do in this schema before.

    Raises UsageError for a prefix that is no plain name.
    """
    if not prefix.isidentifier() or not prefix.isascii() or prefix != prefix.lower():
        raise UsageError(f"{prefix!r} can't begin the name of a role: use small letters, digits and _")
    place = '"' + schema.replace('"', '""') + '"'
    statements = []
    for role, rights in RIGHTS.items():
        name = f"{prefix}_{role}"
        statements += [
            _MAKE_ROLE.format(name),
            f"REVOKE ALL ON ALL TABLES IN SCHEMA {place} FROM {name}",
            f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {place} FROM {name}",
            f"GRANT USAGE ON SCHEMA {place} TO {name}",
        ]
        for right, tables in rights.items():
            for table in tables:
                bare, bracket, columns = table.partition(" (")
                statements.append(f"GRANT {right}{bracket}{columns} ON {place}.{bare} TO {name}")
        statements += [
            f"GRANT USAGE ON SEQUENCE {place}.{table}_seq_seq TO {name}" for table in _NUMBERED.get(role, ())
        ]
    statements.append(f"GRANT EXECUTE ON FUNCTION {place}.make_months(int) TO {prefix}_owner")
    return Granted(roles=[f"{prefix}_{role}" for role in RIGHTS], statements=statements)


def grant(url: str, prefix: str = "orchestrator", *, only_show: bool = False) -> Granted:
    """Makes the roles and gives them their rights in the store at `url`; `only_show`: for someone else to run.

    Raises SetupError for a store that knows no roles, or where the url's role may not give rights.
    """
    engine = connect(url)
    try:
        if engine.dialect.name != "postgresql":
            raise SetupError("a SQLite file knows no roles: whoever may write the file may do everything")
        with engine.begin() as connection:
            granted = grants(prefix, str(connection.exec_driver_sql("SELECT current_schema()").scalar()))
            if not only_show:
                _run(connection, granted)
            return granted
    except DatabaseError as error:
        raise SetupError(
            f"the rights can't be given ({error.orig}); do it as the role that owns the tables and has CREATEROLE, or "
            "show the statements to someone who is: orchestrator store grants --show"
        ) from None
    finally:
        engine.dispose()


def _run(connection: Connection, granted: Granted) -> None:
    for statement in granted.statements:
        connection.exec_driver_sql(statement)
