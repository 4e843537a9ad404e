"""Who may do what, as roles of the database: five that can't log in, to be granted to those that do.

    owner          decides: everything a batch writes. Log and journal are added to, never changed
    inbox_writer   dispatcher, command line: inbox, where touches stand, suppressions, switches, revisions
    server         `serve` with Kafka: what members and providers say, and a member's own record, which pages show them
    relay          reads the log and dead letters, moves its cursors
    reader         reads

A login role that does several kinds of work is made a member of several. All workers log in as one role, so that one
may end another's session (see taking.py). A login's password is given as the digest of SCRAM-SHA-256, worked out here:
the server, and so its log, never sees the password itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
            # whether it is ready to serve, and which events are known by what is in force
            *("switches", "documents"),
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


_MAKE_LOGIN = _MAKE_ROLE.replace("NOLOGIN", "LOGIN")


class Login(Struct, frozen=True):
    """A role that logs in, and the kinds of work that it does."""

    name: str
    # of RIGHTS
    does: tuple[str, ...]


class Granted(Struct, frozen=True, kw_only=True):
    """What `store grants` did, or would do."""

    # the roles, made where they were not there
    roles: list[str]
    # those that log in, made where they were not there
    logins: list[str]
    # the statements, in order; to be repeated whenever the schema changes. They hold no password
    statements: list[str]


def read_login(text: str) -> Login:
    """`worker=owner,relay`: a login and the kinds of work that it does. Raises UsageError for anything else."""
    name, _, work = text.partition("=")
    does = tuple(work.split(","))
    if not _plain(name) or len(set(does)) < len(does) or not set(does) <= RIGHTS.keys():
        raise UsageError(f"{text!r} is no login: write its name in small letters, =, and some of {', '.join(RIGHTS)}")
    return Login(name, does)


def grants(prefix: str, schema: str, logins: Sequence[Login] = ()) -> Granted:
    """The statements that lead to exactly these rights, whatever roles and logins could do in this schema before.

    Raises UsageError for a prefix that is no plain name.
    """
    if not _plain(prefix):
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
    roles = [f"{prefix}_{role}" for role in RIGHTS]
    for login in logins:
        others = [role for role, name in zip(roles, RIGHTS, strict=True) if name not in login.does]
        statements += [_MAKE_LOGIN.format(login.name), *(f"REVOKE {role} FROM {login.name}" for role in others)]
        statements.append(f"GRANT {', '.join(f'{prefix}_{name}' for name in login.does)} TO {login.name}")
    return Granted(roles=roles, logins=[login.name for login in logins], statements=statements)


def grant(
    url: str,
    prefix: str = "orchestrator",
    logins: Sequence[Login] = (),
    passwords: Mapping[str, str] | None = None,
    *,
    only_show: bool = False,
) -> Granted:
    """Makes roles and logins and gives them their rights in the store at `url`; `only_show`: for someone else to run.

    `passwords`: name of a login -> its password from now on; a login without keeps what it has. Raises SetupError for a
    store that knows no roles, or where the url's role may not give rights, and UsageError for the url's own role: that
    one owns the tables, and no service is to be it.
    """
    engine = connect(url)
    try:
        if engine.dialect.name != "postgresql":
            raise SetupError("a SQLite file knows no roles: whoever may write the file may do everything")
        with engine.begin() as connection:
            schema, myself = connection.exec_driver_sql("SELECT current_schema(), current_user").one()
            granted = grants(prefix, schema, logins)
            if myself in granted.logins:
                raise UsageError(f"{myself} owns the tables: give the login another name")
            if not only_show:
                _run(connection, granted, passwords or {})
            return granted
    except DatabaseError as error:
        raise SetupError(
            f"the rights can't be given ({error.orig}); do it as the role that owns the tables and has CREATEROLE, or "
            "show the statements to someone who is: orchestrator store grants --show"
        ) from None
    finally:
        engine.dispose()


def _run(connection: Connection, granted: Granted, passwords: Mapping[str, str]) -> None:
    for statement in granted.statements:
        connection.exec_driver_sql(statement)
    libpq = connection.connection.driver_connection.pgconn  # type: ignore[union-attr]
    for login in granted.logins:
        if password := passwords.get(login):
            digest = libpq.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode("ascii")
            connection.exec_driver_sql(f"ALTER ROLE {login} PASSWORD '{digest}'")


def _plain(name: str) -> bool:
    """Whether it needs no quotes as the name of a role."""
    return name.isidentifier() and name.isascii() and name == name.lower()
