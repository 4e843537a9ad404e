"""Values as the server reads them: of each statement its text, and what turns each of its values into bytes.

The driver would look at every element to find a type for a list of numbers, and so give one statement many types, each
to be prepared anew. Here the statement's own casts say what is what: `%b::int8[]` is an array of 64-bit numbers,
whatever stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from struct import Struct, error
from typing import Any, NamedTuple

import psycopg

# a value as it travels; None is NULL
Dump = Callable[[Any], bytes | None]

_MARK = re.compile(r"%([bs])(?:::(\w+(?:\[\])?))?")
_NUMBER = Struct("!i").pack
# dimensions, whether NULL is among the elements, type of the elements, how many there are, number of the first
_HEAD = Struct("!iiiii").pack
_EMPTY = Struct("!iii").pack
_INT8, _TEXT, _BYTEA, _BOOL = 20, 25, 17, 16
# each with its length
_BITS = {True: b"\0\0\0\1\1", False: b"\0\0\0\1\0"}


class Shape(NamedTuple):
    """A statement as it is sent."""

    text: bytes
    dumps: tuple[Dump, ...]
    # of each value: 1 binary, 0 text
    formats: tuple[int, ...]

    def dumped(self, values: Sequence[Any]) -> list[bytes | None]:
        """The values of one call; raises what the driver raises for one that can't be carried."""
        return [dump(value) for dump, value in zip(self.dumps, values, strict=True)]


@cache
def shape_of(statement: str) -> Shape:
    """The shape of a statement of `statements.py`: `%b::type` binary, `%s` as text that the server finds a type for."""
    found = list(_MARK.finditer(statement))
    numbers = iter(range(1, len(found) + 1))
    text = _MARK.sub(lambda mark: f"${next(numbers)}{'::' + mark[2] if mark[2] else ''}", statement)
    dumps = tuple(_BINARY[mark[2]] if mark[1] == "b" else _plain for mark in found)
    return Shape(text.encode(), dumps, tuple(int(mark[1] == "b") for mark in found))


def _plain(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()


def _same(value: bytes | None) -> bytes | None:
    return value


def _numbers(column: Sequence[int]) -> bytes:
    try:
        return _head(column, _INT8) + _pairs(len(column)).pack(*[each for value in column for each in (8, value)])
    except error:
        if all(isinstance(value, int) for value in column):
            raise psycopg.DataError("a number has more than 64 bits") from None
        raise TypeError("whole numbers are needed") from None


def _texts(column: Sequence[str]) -> bytes:
    return _strings([value.encode() for value in column], _TEXT)


def _bytes(column: Sequence[bytes]) -> bytes:
    return _strings(column, _BYTEA)


def _bools(column: Sequence[bool]) -> bytes:
    return _head(column, _BOOL) + b"".join([_BITS[value] for value in column])


def _strings(column: Sequence[bytes], oid: int) -> bytes:
    return _head(column, oid) + b"".join([each for value in column for each in (_NUMBER(len(value)), value)])


def _head(column: Sequence[Any], oid: int) -> bytes:
    return _HEAD(1, 0, oid, len(column), 1) if column else _EMPTY(0, 0, oid)


@lru_cache(2_048)
def _pairs(count: int) -> Struct:
    """So many 64-bit numbers, each behind its length."""
    return Struct("!" + "iq" * count)


# by the cast behind the mark
_BINARY: dict[str, Dump] = {
    "int8[]": _numbers,
    "text[]": _texts,
    "bytea[]": _bytes,
    "bool[]": _bools,
    "bytea": _same,
}
