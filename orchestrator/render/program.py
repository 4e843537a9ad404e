"""One compiled template: a function from data to text that knows, for each of its lines, the author's file and line."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.render.contract import RenderError
from orchestrator.render.frame import Frame
from orchestrator.render.language import fields
from orchestrator.render.limits import LIMITS, Refusal
from orchestrator.render.sandbox import Sandbox, generated_line, reason

# (file as shown to people, line from 1)
Place = tuple[str, int]


class Program:
    """A template, ready to run any number of times; it keeps nothing of a run."""

    __slots__ = ("_filename", "_generated", "_places", "_root", "fields")

    def __init__(self, sandbox: Sandbox, source: str, places: Mapping[int, Place]) -> None:
        """Compiles `source`; `places` says where each of its lines came from, gaps meaning the line before.

        Raises sandbox.Rejected, with lines of `source`.
        """
        tree = sandbox.tree(source)
        # dotted paths it reads
        self.fields = fields(tree)
        self._places = dict(places)
        self._filename = f"<template {self.place(1)[0]}>"
        self._root, self._generated = sandbox.root(tree, self._filename)

    def place(self, line: int) -> Place:
        """The author's file and line for a line of the source."""
        known = [at for at in self._places if at <= line]
        return self._places[max(known)] if known else ("template", line)

    def run(self, data: Mapping[str, object], locale: str, limit: int = LIMITS.output) -> str:
        """The text for this data, at most `limit` characters; raises RenderError that names file, line and field."""
        frame = Frame(data, locale, LIMITS.steps, LIMITS.built)
        parts: list[str] = []
        try:
            for part in self._root(frame):
                parts.append(part)
                limit -= len(part)
                if limit < 0:
                    raise Refusal("its text becomes too long")
        except Exception as error:  # noqa: BLE001  # whatever a source may do ends as this one error
            raise self._explained(error) from None
        return "".join(parts)

    def _explained(self, error: Exception) -> RenderError:
        generated = generated_line(error.__traceback__, self._filename)
        starts = [line for line in self._generated if line <= generated]
        file, line = self.place(self._generated[max(starts)] if starts else 1)
        return RenderError(f"{file}:{line}: {reason(error)}")
