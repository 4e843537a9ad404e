"""The runner of a project: its store, keys, content and adapters put together."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.channels.capture.index import write_index
from orchestrator.channels.load import load_accounts
from orchestrator.clocks import wall_clock
from orchestrator.decide.content import Content
from orchestrator.pipeline import Arrival
from orchestrator.project import Project
from orchestrator.runtimes.embedded.engine import Totals
from orchestrator.runtimes.embedded.runner import RunClock, Runner
from orchestrator.runtimes.embedded.sources import Delivery, read_file, read_stream, recognise
from orchestrator.stores.partitions import FedElsewhere

# how long the engine sleeps when nothing came and nothing was due
IDLE_S = 0.2


class ProjectRunner(Runner):
    """A runner that knows where its project's files lie."""

    def __init__(self, project: Project, content: Content, *, dispatch: bool, real: bool) -> None:
        """Opens what the project names; raises SetupError or ContentError with the cure. `real`: for `run_real`."""
        clock = RunClock(virtual=not real)
        accounts = load_accounts(project.settings, project.path, clock.date) if dispatch else None
        super().__init__(
            project.store,
            project.vault,
            content,
            project.settings,
            accounts,
            clock,
            project.approvals_of(content).unapproved,
            project.shelf.take,
        )
        self.project = project

    def run_real(self, paths: list[Path], *, follow: bool, until: int | None) -> Totals:
        """Runs files and standard input on the real clock; with `follow` goes on when they end."""
        source = self._real(paths, follow=follow)
        return self.engine.run_real(source, self.drain, wall_clock, follow=follow, until=until)

    def write_pages(self) -> Path | None:
        """Brings the index of captured messages up to date; None where nothing is captured."""
        dispatch = self.project.settings.dispatch
        if all(
            dispatch.account(name).adapter != "capture" for each in dispatch.adapters for name in dispatch.names(each)
        ):
            return None
        folder = self.project.path / self.project.settings.dispatch.capture_dir
        if not folder.is_dir():
            return None
        write_index(folder)
        return folder / "index.html"

    def _real(self, paths: list[Path], *, follow: bool) -> Iterator[Delivery | None]:
        pipeline, partitions = self.engine.pipeline, self.store.partitions

        def make(raw: bytes, file: bytes, length: int, byte: int) -> Arrival:
            return pipeline.arrival(raw, wall_clock(), file, length, byte)

        for path in paths:
            if str(path) == "-":
                yield from read_stream(sys.stdin.buffer, make, partitions)
            else:
                yield from read_file(path, recognise(path, self.store.positions()), make, partitions)
        while follow:
            yield None
            time.sleep(IDLE_S)


def carry_out(project: Project) -> bool:
    """Has the embedded engine carry out what was ordered; False where workers on Kafka will, by themselves."""
    try:
        with ProjectRunner(project, project.keep_in_force(), dispatch=False, real=False) as runner:
            runner.engine.carry_out()
    except FedElsewhere:
        return False
    return True


def open_runner(project: Project, *, dispatch: bool = True, real: bool = False) -> ProjectRunner:
    """The project's runner, on the virtual clock or the real one; to be used as a context manager.

    It puts the project's folder in force, as it is.
    """
    project.keep_content()
    return ProjectRunner(project, project.content, dispatch=dispatch, real=real)
