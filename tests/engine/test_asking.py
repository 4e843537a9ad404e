"""Progressive asking, lived through by the engine: one missing fact at a time, and none again for thirty days."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.content import locate
from orchestrator.content.load import load_content
from orchestrator.content.policies import load_policies
from orchestrator.decide.content import Content
from orchestrator.errors import ContentError
from orchestrator.settings import Settings
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World
from orchestrator.vault import Vault

PROFILE = """\
    profile:
      ask: [given_name, birthday, attributes.shop]
      again_after: P30D
      journeys: [tell-us]
      why: a form with ten fields is left empty, a single question is answered
"""
JOURNEY = """\
journey: tell-us
purpose: service
trigger: {event: purchase.completed}
audience: "ask != ''"
exit: [member.updated]
steps:
  - send: question
    channels: [email]
"""
TEXT = "Subject: One question\n\n{{ ask }} of {{ missing|length }}\n"
NOON = "2026-03-02T17:00:00Z"


def folder_with(tmp_path: Path, profile: str = PROFILE) -> Path:
    shutil.copytree(locate.shipped("templates"), tmp_path / "templates")
    shutil.copytree(locate.shipped("channel_policies"), tmp_path / "channel_policies")
    house = tmp_path / "channel_policies/house.yaml"
    before, own, after = house.read_text().partition("    profile:\n")
    assert own, "the house policies ask for something themselves"
    house.write_text(before + profile + after[after.index("    caps:\n") :])
    own = tmp_path / "templates/tell-us"
    own.mkdir()
    (own / "journey.yaml").write_text(JOURNEY)
    (own / "question.email.en.txt.j2").write_text(TEXT)
    (own / "question.email.en.mjml.j2").write_text(
        "<mj-section><mj-column><mj-text>{{ ask }}</mj-text></mj-column></mj-section>\n"
    )
    return tmp_path


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return load_content(folder_with(tmp_path_factory.mktemp("asking")), Settings())


@pytest.fixture
def world(asking: Content, vault: Vault) -> World:
    world = World(MemoryStore(3), vault, asking)
    world.live(enrolled("ana", NOON, consents=()))
    return world


def questions(world: World) -> list[str]:
    """What was asked, of how many missing facts."""
    return [message.text.split("\n")[0] for message in world.calls("ana") if message.journey == "tell-us"]


def buy(world: World, *days: str) -> None:
    for day in days:
        world.live(purchase("ana", f"2026-{day}T17:00:00Z"))


def test_the_most_wanted_is_asked_first_and_nothing_else_for_thirty_days(world: World) -> None:
    buy(world, "03-03", "03-04", "03-20", "04-01")
    assert ["given_name of 3"] == questions(world)
    # thirty days to the second after the first question
    buy(world, "04-02")
    assert ["given_name of 3", "birthday of 3"] == questions(world)


def test_who_answers_is_not_asked_for_another_fact_within_the_thirty_days(world: World) -> None:
    buy(world, "03-03")
    world.live(event("member.updated", "ana", "2026-03-03T18:00:00Z", {"given_name": "Ana"}))
    buy(world, "03-04", "03-30")
    assert ["given_name of 3"] == questions(world)
    buy(world, "04-03")
    assert ["given_name of 3", "birthday of 2"] == questions(world)


def test_when_all_were_asked_for_in_vain_the_one_asked_for_longest_ago_comes_again(world: World) -> None:
    buy(world, "03-03", "04-10", "05-20", "07-01")
    assert ["given_name of 3", "birthday of 3", "attributes.shop of 3", "given_name of 3"] == questions(world)


def test_of_whom_all_is_known_nothing_is_asked(world: World) -> None:
    known = {"given_name": "Ana", "birthday": "1990-05-01", "attributes": {"shop": "Main Street"}}
    world.live(event("member.updated", "ana", "2026-03-02T18:00:00Z", known))
    buy(world, "03-03", "05-03")
    assert [] == questions(world)
    member = world.member("ana")
    assert member is not None
    assert {} == member.asked_for


def test_a_question_that_was_not_sent_was_not_asked(world: World) -> None:
    world.live(event("member.updated", "ana", "2026-03-02T18:00:00Z", {"contact_points": [
        {"channel": "email", "address": "nobody"},
    ]}))  # fmt: skip
    buy(world, "03-03")
    member = world.member("ana")
    assert member is not None
    assert ([], {}) == (questions(world), member.asked_for)


def test_an_unknown_fact_is_refused_with_file_line_and_the_likely_one(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, PROFILE.replace("birthday", "birthdya"))
    with pytest.raises(ContentError) as error:
        load_policies(folder / "channel_policies", {"tell-you": ""})
    found = {problem.what: problem for problem in error.value.problems}
    assert "birthday" in found["`birthdya` is no fact that can be asked for"].cure
    assert "there is no journey `tell-us`" in found
    line = (
        (folder / "channel_policies/house.yaml")
        .read_text()
        .split("\n")
        .index("      ask: [given_name, birthdya, attributes.shop]")
    )
    assert line + 1 == found["`birthdya` is no fact that can be asked for"].line
