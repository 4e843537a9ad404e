"""The command line with a fault of ours in it: whoever renders for a member of the tier `glass` fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.cli.app import main
from orchestrator.render.contract import Rendered
from orchestrator.render.templates import CompiledTemplates

_render = CompiledTemplates.render


def render(
    self: CompiledTemplates, journey: str, step: str, channel: str, locale: str, view: Mapping[str, Any]
) -> Rendered:
    """As ever, but for glass."""
    if "glass" in str(view):
        raise ZeroDivisionError
    return _render(self, journey, step, channel, locale, view)


if __name__ == "__main__":
    CompiledTemplates.render = render  # type: ignore[method-assign]
    main()
