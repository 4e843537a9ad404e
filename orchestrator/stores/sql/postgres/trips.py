"""Statements that travel together: sent one behind the other, and waited for once.

A wait gives Python's lock away; in a worker that also fetches, dispatches and tells, getting it back takes longer than
the server takes to answer. So what a batch asks and writes goes in few trips (libpq's pipeline mode), spoken to libpq
itself: the driver's own pipeline waits for the socket at each statement. Each statement is prepared once a session.

The server does them in order, each with a snapshot of its own as ever; after one that fails it does none of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from orchestrator.stores.sql.postgres.wire import Shape, shape_of

Session = psycopg.Connection[TupleRow]
Rows = list[Any]
# a statement, its shape and its values as they are sent
Parcel = tuple[str, Shape, list[bytes | None]]

BEGIN, ROLLBACK = "BEGIN", "ROLLBACK"


class Asked(NamedTuple):
    """A statement and its values."""

    statement: str
    values: Sequence[Any] = ()


class Answers(NamedTuple):
    """What came of a trip."""

    # of each statement in order, up to the one that failed
    rows: list[Rows]
    # why that one failed; None where none did
    error: psycopg.Error | None = None


class Trips:
    """What one session is asked; used by one thread at a time, and not while the session is in a pipeline."""

    def __init__(self, session: Session) -> None:
        """The session rolls back by ROLLBACK alone: its own `rollback` makes the server forget what is prepared."""
        self._session = session
        # statement -> its name on the server
        self._prepared: dict[str, bytes] = {}
        self._numbers = count(1)
        self._reader = Transformer(session)

    def ask(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of one statement; raises what the driver raises."""
        rows, error = self.go([Asked(statement, values)])
        if error is not None:
            raise error
        return rows[0]

    def go(self, asked: Sequence[Asked]) -> Answers:
        """Sends all of these and waits for what they give.

        Where the session is lost on the way it is closed, and the error says so as the driver would. Values that can't
        be carried raise before anything is sent.
        """
        shapes = [shape_of(each.statement) for each in asked]
        parcels = [
            (each.statement, shape, shape.dumped(each.values)) for each, shape in zip(asked, shapes, strict=True)
        ]
        if self._session.closed:
            return Answers([], psycopg.OperationalError("the connection is closed"))
        try:
            results = self._session.wait(self._sent(parcels))
            self._session.pgconn.exit_pipeline_mode()
        except psycopg.Error as error:
            self._session.close()
            return Answers([], error)
        except BaseException:
            # nobody knows what is under way
            self._session.close()
            raise
        return self._read(results)

    def _sent(self, parcels: Sequence[Parcel]) -> PQGen[list[PGresult]]:
        """The result of each statement, in order; before that of one that could not be prepared, why."""
        pgconn = self._session.pgconn
        pgconn.enter_pipeline_mode()
        new: dict[str, bytes] = {}
        for statement, shape, values in parcels:
            name = self._prepared.get(statement) or new.get(statement)
            if name is None:
                name = new[statement] = b"t%d" % next(self._numbers)
                pgconn.send_prepare(name, shape.text)
            pgconn.send_query_prepared(name, values, shape.formats, result_format=pq.Format.BINARY)
        pgconn.pipeline_sync()
        yield from generators.send(pgconn)
        found = []
        for statement, _, _ in parcels:
            if statement in new:
                name = new.pop(statement)
                prepared = yield from _next(pgconn)
                if prepared.status == pq.ExecStatus.COMMAND_OK:
                    self._prepared[statement] = name
                else:
                    found.append(prepared)
            found.append((yield from _next(pgconn)))
        yield from _next(pgconn)
        return found

    def _read(self, results: Sequence[PGresult]) -> Answers:
        rows: list[Rows] = []
        for result in results:
            if result.status == pq.ExecStatus.TUPLES_OK:
                self._reader.set_pgresult(result)
                rows.append(self._reader.load_rows(0, result.ntuples, tuple))
            elif result.status == pq.ExecStatus.COMMAND_OK:
                rows.append([])
            else:
                return Answers(rows, error_from_result(result))
        return Answers(rows)


def _next(pgconn: PGconn) -> PQGen[PGresult]:
    """The next result; there is one for each thing sent, and one for the end of the trip."""
    results = yield from generators.fetch_many(pgconn)
    if not results:
        raise psycopg.OperationalError("the session was lost")
    last: PGresult = results[-1]
    return last
