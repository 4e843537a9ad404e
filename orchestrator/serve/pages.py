"""The pages that members see: one frame, plain HTML, no script; nothing of it is kept by browser or proxy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HEADERS = {
    "Cache-Control": "no-store",
    # nothing is loaded from anywhere, and nothing runs; forms come back to us
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow",
}
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("sheets")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def page(name: str, status: int, view: Mapping[str, object]) -> Response:
    """A page of `sheets/`, with what it shows."""
    body = _environment.get_template(f"{name}.html.j2").render(view)
    return Response(body, status, _HEADERS, "text/html")
