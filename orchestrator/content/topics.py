"""`templates/topics.yaml`: what members may switch off on their own page, in their own words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from orchestrator.content.files import read_yaml
from orchestrator.errors import ContentError
from orchestrator.events.types import MOST_TOPICS
from orchestrator.located import convert, nearest

FILE = "topics.yaml"
Category = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,63}$")]
# category of journeys -> language -> its name for members
Topics = Mapping[str, Mapping[str, str]]


class TopicsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`templates/topics.yaml`: categories of journeys whose marketing each member may do without."""

    # category -> its name in each language that members' pages are written in; shown in this order
    topics: Annotated[
        dict[Category, dict[Literal["en", "es", "pt"], Annotated[str, Meta(min_length=1, max_length=80)]]],
        Meta(max_length=MOST_TOPICS),
    ]


def load_topics(folder: Path, categories: Collection[str] | None = None) -> Topics:
    """What the file of a templates folder offers; nothing where there is none.

    `categories` are those that journeys have, where they are known. Raises ContentError, also where a language lacks a
    name: a box without words is no choice.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    located = read_yaml(path, str(path.relative_to(folder.parent)))
    file = convert(located, TopicsFile)
    problems = []
    for category, names in file.topics.items():
        here = ("topics", category)
        problems += [
            located.problem(f"`{category}` has no name in `{language}`", f"add `{language}: …`", at=here)
            for language in ("en", "es", "pt")
            if language not in names
        ]
        if categories is not None and category not in categories:
            cure = nearest(category, sorted(categories))
            problems.append(located.problem(f"no journey is of category `{category}`", cure, at=here))
    if problems:
        raise ContentError(problems)
    return {
        category: {str(language): name for language, name in names.items()} for category, names in file.topics.items()
    }
