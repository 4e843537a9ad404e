"""Reprs that hide personal data: what a debugger, an assertion or a careless log line shows of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HIDDEN = "***"


def hiding(*names: str) -> Callable[[Any], str]:
    """A `__repr__` for a struct or named tuple that shows every field but these; empty ones are shown as they are.

    Raises AttributeError at the first use where there is no such field.
    """

    def represent(self: Any) -> str:
        fields = getattr(self, "__struct_fields__", None) or self._fields
        for name in names:
            getattr(self, name)
        shown = (
            f"{name}={HIDDEN if name in names and getattr(self, name) else repr(getattr(self, name))}"
            for name in fields
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    return represent
