"""What a decision costs with little content and with much: 5 journeys and 5 policies against 20 and 30.

Both projects are the shipped content, cut down or added to; the members live the same purchases. A decision under more
policies asks more rules, each of which its trail must hold, so that speed has to fall somewhat; the journeys that a
purchase does not start must cost next to nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.core import measure
from orchestrator import starter

# journeys that start as the shipped ones do in most programmes, and the policies that no programme is without
FEW_JOURNEYS = ("welcome", "thank-you", "we-miss-you", "tier-up", "reward-delivered")
FEW_POLICIES = {"house": ("membership", "contact-point", "day"), "email": ("consent",), "sms": ("consent",)}
MANY_JOURNEYS, MANY_POLICIES = 20, 30
# what further journeys start at: every third at purchases of an unusual size, so that its condition is asked each time
EVENTS = (("purchase.completed", "event.amount"), ("points.earned", "event.points"), ("survey.answered", "event.score"))
MODEL = "thank-you"
FAMILIES = ("membership", "contact_points", "consent", "quiet_hours", "caps", "gaps")


class Size(NamedTuple):
    """How much content a project has."""

    journeys: int
    policies: int


def few(project: Path) -> Size:
    """Five journeys, five policies."""
    starter.create(project)
    for folder in journeys(project):
        if folder.name not in FEW_JOURNEYS:
            shutil.rmtree(folder)
    for file in policies(project):
        _rewrite(file, only=FEW_POLICIES.get(file.stem, ()))
    return size_of(project)


def many(project: Path) -> Size:
    """Twenty journeys, thirty policies."""
    starter.create(project)
    model = project / "templates" / MODEL
    for number in range(MANY_JOURNEYS - len(journeys(project))):
        copy = model.with_name(f"further-{number}")
        shutil.copytree(model, copy)
        (copy / "cases.yaml").unlink()
        words = msgspec.yaml.decode((model / "journey.yaml").read_bytes())
        event, figure = EVENTS[number % len(EVENTS)]
        trigger = {**words["trigger"], "event": event, "where": f"{figure} >= {10**6 + number}"}
        (copy / "journey.yaml").write_bytes(msgspec.yaml.encode({**words, "journey": copy.name, "trigger": trigger}))
    places = [(file, journey.name) for journey in journeys(project) for file in policies(project)]
    for file, journey in places[: MANY_POLICIES - size_of(project).policies]:
        cap = {"max": 5, "window": "calendar month", "journeys": [journey], "why": "a cap of one journey's own"}
        _rewrite(file, further={f"month-{journey}": cap})
    return size_of(project)


def compare(folder: Path, members: int = 120) -> dict[str, Any]:
    """The core's figures with few and with much content; `kept` is the part of the speed that is left."""
    found: dict[str, Any] = {}
    for name, make in (("few", few), ("many", many)):
        size = make(folder / name)
        found[name] = {**size._asdict(), **measure(folder / name, members, least_rules=1)}
    ratios = [found[name]["ratio"]["all"] for name in ("many", "few")]
    return found | {"kept": round(ratios[0] / ratios[1], 3)}


def journeys(project: Path) -> list[Path]:
    """The folders of a project's journeys."""
    return sorted(file.parent for file in (project / "templates").glob("*/journey.yaml"))


def policies(project: Path) -> list[Path]:
    """Its policy files, house and channels."""
    return sorted(
        file for file in (project / "channel_policies").glob("*.yaml") if not file.name.endswith(".cases.yaml")
    )


def size_of(project: Path) -> Size:
    """How many journeys and policies a project has; a policy is a named rule, however often it is altered."""
    named: set[tuple[str, str, str]] = set()
    for file in policies(project):
        for entry in msgspec.yaml.decode(file.read_bytes())["entries"]:
            named |= {(file.stem, family, name) for family in FAMILIES for name in entry.get(family, {})}
    return Size(len(journeys(project)), len(named))


def _rewrite(file: Path, *, only: Iterable[str] | None = None, further: dict[str, Any] | None = None) -> None:
    """The policy file with no rules but `only` these, or with `further` caps; what its cases say is not asked."""
    words = msgspec.yaml.decode(file.read_bytes())
    for entry in words["entries"]:
        for family in FAMILIES if only is not None else ():
            entry[family] = {name: rule for name, rule in entry.get(family, {}).items() if name in (only or ())}
        if only is not None:
            # nor a word of journeys that are not there: the profile is asked for by one of them
            entry.pop("profile", None)
            if "priority" in entry:
                entry["priority"] = [name for name in entry["priority"] if name in FEW_JOURNEYS]
    if further:
        first = words["entries"][0]
        first["caps"] = {**first.get("caps", {}), **further}
    file.write_bytes(msgspec.yaml.encode(words))
