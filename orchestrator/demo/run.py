"""The demo's job: a grocer's quarter through the embedded engine, in a project of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from msgspec import Struct

from orchestrator import starter
from orchestrator.contact_log import checkpoint as checkpoints
from orchestrator.contact_log.about import about, cites
from orchestrator.contact_log.explain import Paragraph
from orchestrator.contact_log.verify import verify
from orchestrator.decide.law import LawBook
from orchestrator.ingest.find import find_mapping
from orchestrator.ingest.load import load_mapping
from orchestrator.ingest.run import ingest
from orchestrator.project import Project, open_project
from orchestrator.runtimes.embedded.project_runner import open_runner
from orchestrator.runtimes.embedded.report import RunReport, report
from orchestrator.times import micros

# a month after the last purchase of the slice, so that silence is noticed
UNTIL = datetime(2018, 1, 31, 5, 0, tzinfo=UTC)
FILES = (("demographics.csv", "complete-journey/demographics"), ("baskets.csv.gz", "complete-journey/baskets"))

Stage = Callable[[str, int, int], None]


class DemoReport(Struct, frozen=True, kw_only=True):
    """What the demo did, and where to look."""

    project: Path
    # data rows read, and events made of them
    rows: int
    run: RunReport
    # one member who got messages and was spared others
    member: str
    explained: tuple[Paragraph, ...]
    # page that lists every message
    messages: Path | None
    log_entries: int
    log_verifies: bool
    checkpoint: Path


def run_demo(folder: Path, stage: Stage = lambda _name, _done, _total: None) -> DemoReport:
    """Makes a project in `folder` (absent or empty), ingests the slice, runs the quarter, checks the record.

    `stage` is told what is going on: (name, done, of how many).
    """
    starter.create(folder)
    with open_project(folder) as project:
        rows, inputs = 0, []
        for name, mapping in FILES:
            stage(f"reading {name}", 0, 0)
            made = _ingested(project, name, mapping)
            rows += made[0]
            inputs.append(made[1])
        with open_runner(project) as runner:
            totals = runner.run(
                inputs, until=micros(UNTIL), progressed=lambda done, total: stage("living a quarter", done, total)
            )
            messages = runner.write_pages()
        stage("checking the record", 0, 0)
        ran = report(project.store, totals)
        verified = verify(project.store)
        signed = checkpoints.make_checkpoint(project.store, project.vault, UNTIL)
        path = folder / f"{signed.name}.json"
        path.write_bytes(checkpoints.write(signed, project.vault))
        member, told = _somebody(project)
        return DemoReport(
            project=folder,
            rows=rows,
            run=ran,
            member=member,
            explained=told,
            messages=messages,
            log_entries=verified.entries,
            log_verifies=verified.ok,
            checkpoint=path,
        )


def _ingested(project: Project, name: str, mapping: str) -> tuple[int, Path]:
    loaded = load_mapping(find_mapping(mapping, project.path), mapping, project.event_types)
    out = project.path / "incoming" / f"{name.split('.', maxsplit=1)[0]}.jsonl"
    out.parent.mkdir(exist_ok=True)
    data = resources.files("orchestrator.demo").joinpath("data", name)
    with resources.as_file(data) as path:
        made = ingest([path], loaded, out)
    return made.rows, out


def _somebody(project: Project) -> tuple[str, tuple[Paragraph, ...]]:
    """A member whose record holds both a touch and a silence, and the latest of each told."""
    laws = project.content.laws
    cite_of = cites(laws) if isinstance(laws, LawBook) else cites(LawBook({}, "compliant"))
    with (project.path / "incoming" / "demographics.jsonl").open("rb") as lines:
        members = [line.split(b'"subject":"')[1].split(b'"')[0].decode() for line in lines]
    for member in members:
        told = about(project.store, project.vault, member, cite_of)
        if told.touches and told.silences:
            last = {paragraph.outcome: paragraph for paragraph in told.paragraphs}
            return member, (last["touch"], last["silence"])
    return "", ()
