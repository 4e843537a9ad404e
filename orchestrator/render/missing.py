"""Names and fields that are not there: any use is an error that names them; only `default` and `defined` may ask."""

from __future__ import annotations

from typing import NoReturn

from jinja2.runtime import StrictUndefined, Undefined


class Missing(StrictUndefined):
    """What stands for a name or field that is not there."""

    __slots__ = ()

    def fail(self) -> NoReturn:
        """Raises UndefinedError, whose text names the field."""
        self._fail_with_undefined_error()


def present(value: object) -> object:
    """The value; raises UndefinedError if it is missing. An `if` without `else` that was false gives empty text."""
    if isinstance(value, Missing):
        value.fail()
    return "" if isinstance(value, Undefined) else value
