"""What may be said at the door goes by the content in force, and not by what lies in the folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.content.load import files_in, revision_of
from orchestrator.orders import activate
from orchestrator.project import Project, open_project
from orchestrator.revisions import keep
from orchestrator.serve import offers as module
from orchestrator.serve.offers import Offer, Offers
from orchestrator.starter import create
from tests.own_types import declare

TOPICS = "topics:\n  retention: {en: Thanks, es: Gracias, pt: Obrigado}\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(create(tmp_path / "club").project) as opened:
        declare(opened.path, "booking.confirmed")
        yield opened


def put_in_force(project: Project) -> None:
    files = files_in(project.path)
    revision = revision_of(files, project.settings)
    keep(project.store, revision, files)
    assert activate(project.store, revision, "tests")


def edit(project: Project) -> None:
    """Another event type, and fewer topics."""
    declare(project.path, "booking.moved")
    (project.path / "templates" / "topics.yaml").write_text(TOPICS, encoding="utf-8")


def said(offer: Offer) -> tuple[list[str], list[str]]:
    return list(offer.types.own), list(offer.topics)


def test_the_folder_counts_until_something_is_in_force(project: Project) -> None:
    first = said(Offers(project).now())
    edit(project)
    assert (["booking.confirmed"], ["booking.confirmed", "booking.moved"]) == (first[0], said(Offers(project).now())[0])


def test_an_edited_folder_changes_nothing_until_it_is_put_in_force(project: Project) -> None:
    put_in_force(project)
    offers = Offers(project)
    before = said(offers.now())
    edit(project)
    offers.look()
    assert before == said(offers.now()) == said(Offers(project).now())
    assert len(before[1]) > 1
    put_in_force(project)
    offers.look()
    assert (["booking.confirmed", "booking.moved"], ["retention"]) == said(offers.now()) == said(Offers(project).now())


def test_what_cannot_be_read_leaves_what_was_before(project: Project) -> None:
    put_in_force(project)
    offers = Offers(project)
    before = offers.now()
    declare(project.path, "booking.moved", "no schema")
    put_in_force(project)
    offers.look()
    assert before is offers.now()


def test_a_process_that_serves_looks_again_and_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)

    async def serves() -> None:
        offers = Offers(project)
        before = offers.now()
        following = asyncio.create_task(offers.follow())
        put_in_force(project)
        async with asyncio.timeout(30):
            while offers.now() is before:  # noqa: ASYNC110 - nobody tells of a look
                await asyncio.sleep(0.01)
        following.cancel()

    asyncio.run(serves())
