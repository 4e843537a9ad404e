"""Journeys written in a test, with a text for each of their messages, over the policies and laws that are shipped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from orchestrator.content.journeys import load_holdout, load_journeys, load_pools
from orchestrator.content.templates import load_templates
from orchestrator.decide.content import Content
from orchestrator.testing.world import shipped_content

HEAD = """\
journey: {name}
purpose: {purpose}
"""


def content_of(
    *journeys: str,
    texts: Mapping[str, str] | None = None,
    holdout: str = "",
    vouchers: str = "",
    channel: str = "sms",
) -> Content:
    """The content of these journeys alone; `journey: test` and `purpose: service` where a text does not say it.

    `texts`: what a message says, where it is more than its name; they are texts of `channel`.
    """
    with TemporaryDirectory() as made:
        folder = Path(made) / "templates"
        for text in journeys:
            write(folder, text, texts or {}, channel)
        if holdout:
            (folder / "holdout.yaml").write_text(holdout, encoding="utf-8")
        if vouchers:
            (folder / "vouchers.yaml").write_text(vouchers, encoding="utf-8")
        templates, pools = load_templates(folder, "en"), load_pools(folder)
        loaded = load_journeys(folder, templates, pools=pools)
        told = sha256("\n".join([*journeys, holdout, vouchers, channel]).encode()).hexdigest()[:16]
        return replace(
            shipped_content(),
            revision=told,
            journeys=loaded,
            templates=templates,
            holdout=load_holdout(folder),
            pools=pools,
        )


def write(folder: Path, text: str, texts: Mapping[str, str], channel: str = "sms") -> Path:
    """Writes one journey with its messages; its folder."""
    named = re.search(r"^journey: (\S+)", text, re.MULTILINE)
    name = named[1] if named else "test"
    head = "" if named else f"journey: {name}\n"
    if not re.search(r"^purpose:", text, re.MULTILINE):
        head += "purpose: service\n"
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "journey.yaml").write_text(head + text, encoding="utf-8")
    for message in set(re.findall(r"send: ([a-z0-9-]+)", text)):
        (path / f"{message}.{channel}.en.txt.j2").write_text(texts.get(message, message) + "\n", encoding="utf-8")
    return path
