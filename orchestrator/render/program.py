"""One compiled template: a function from data to text that knows, for each of its lines, the author's file and line."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.render.contract import RenderError
from orchestrator.render.frame import Frame
from orchestrator.render.limits import LIMITS, Refusal
from orchestrator.render.sandbox import Code, Sandbox, compiled, generated_line, read, reason

# (file as shown to people, line from 1)
Place = tuple[str, int]


class Program:
    """A template, ready to run any number of times; it keeps nothing of a run."""

    __slots__ = ("_code", "_filename", "_places", "_sandbox", "_source", "fields")

    def __init__(self, sandbox: Sandbox, source: str, places: Mapping[int, Place]) -> None:
        """Checks `source`; `places` says where each of its lines came from, gaps meaning the line before.

        Raises sandbox.Rejected, with lines of `source`.
        """
        # dotted paths it reads
        self.fields = read(sandbox, source)
        self._sandbox, self._source = sandbox, source
        self._places = dict(places)
        self._filename = f"<template {self.place(1)[0]}>"
        # most processes run few of the templates that they read, or none
        self._code: Code | None = None

    def place(self, line: int) -> Place:
        """The author's file and line for a line of the source."""
        known = [at for at in self._places if at <= line]
        return self._places[max(known)] if known else ("template", line)

    def run(self, data: Mapping[str, object], locale: str, limit: int = LIMITS.output) -> str:
        """The text for this data, at most `limit` characters; raises RenderError that names file, line and field."""
        if self._code is None:
            self._code = compiled(self._sandbox, self._source, self._filename)
        frame = Frame(data, locale, LIMITS.steps, LIMITS.built)
        parts: list[str] = []
        try:
            for part in self._code.root(frame):
                parts.append(part)
                limit -= len(part)
                if limit < 0:
                    raise Refusal("its text becomes too long")
        except Exception as error:  # noqa: BLE001  # whatever a source may do ends as this one error
            raise self._explained(error, self._code) from None
        return "".join(parts)

    def _explained(self, error: Exception, code: Code) -> RenderError:
        generated = generated_line(error.__traceback__, self._filename)
        starts = [line for line in code.lines if line <= generated]
        file, line = self.place(code.lines[max(starts)] if starts else 1)
        return RenderError(f"{file}:{line}: {reason(error)}")
