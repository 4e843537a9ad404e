"""Bringing a project's folder into force, and what that would change.

    folder ─▶ check ─▶ cases ─▶ approvals of the journeys it brings ─▶ kept in the store ─▶ an order to each partition

Nothing is written unless each of these holds. Workers decide by it from the turn of the order on; none is started anew.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from orchestrator.approvals import Standing
from orchestrator.content import locate
from orchestrator.content.check import checked
from orchestrator.content.difference import Change, differences
from orchestrator.content.journeys import categories_of
from orchestrator.content.load import files_in, revision_of, versions_in
from orchestrator.content.policy_cases import run_cases as run_policy_cases
from orchestrator.content.policy_effects import check_effects
from orchestrator.decide.content import Content
from orchestrator.errors import UsageError
from orchestrator.orders import activate
from orchestrator.project import Project
from orchestrator.revisions import files_of, in_force, keep, named
from orchestrator.runtimes.embedded.cases import run_cases
from orchestrator.times import instant

# how the folder is called among revisions
FOLDER = "folder"


class Comparison(Struct, frozen=True, kw_only=True):
    """What differs between two revisions."""

    # names; before: "" where none is in force; after: "folder" for the folder as it is
    before: str
    after: str
    # what the folder would be called, where it is compared
    revision: str
    # whether the files are the same
    same: bool
    changes: tuple[Change, ...]


class Activation(Struct, frozen=True, kw_only=True):
    """What came of an activation."""

    # whether the folder is in force now
    done: bool
    revision: str
    # what was in force before; "": nothing was
    before: str
    # who ordered it
    actor: str
    changes: tuple[Change, ...]
    # what stands in the way: cases that do not hold, with the command that tells more; journeys that wait for approval
    failed: tuple[str, ...] = ()
    waiting: tuple[Standing, ...] = ()


def compare(project: Project, before: str = "", after: str = "") -> Comparison:
    """What differs between two revisions, each the beginning of a name; what is in force and the folder where left out.

    The folder need not compile. Raises UsageError for a name that is no revision of the store's.
    """
    first = named(project.store, before) if before else in_force(project.store)
    last = named(project.store, after) if after else FOLDER
    files = files_in(project.path) if last == FOLDER else files_of(project.store, last) or {}
    changes = differences(files_of(project.store, first) or {}, files)
    revision = revision_of(files, project.settings) if last == FOLDER else last
    return Comparison(before=first, after=last, revision=revision, same=not changes, changes=changes)


def activate_folder(project: Project, actor: str, today: date) -> Activation:
    """Puts the folder in force by order of `actor`; not where a case does not hold, or a journey waits for approval.

    Raises ContentError with every problem of every file, UsageError where files change meanwhile. `today` is the day
    whose laws the texts are checked by.
    """
    content = checked(project.path, project.settings, today)
    stands = in_force(project.store)
    former = files_of(project.store, stands) or {}
    failed = tuple(_failed(project, content))
    files = files_in(project.path)
    if revision_of(files, project.settings) != content.revision:
        raise UsageError("the folder was changed while it was checked; give the order again")
    waiting = tuple(_waiting(project, content, former))
    result = Activation(
        done=not failed and not waiting,
        revision=content.revision,
        before=stands,
        actor=actor,
        changes=differences(former, files),
        failed=failed,
        waiting=waiting,
    )
    if result.done:
        keep(project.store, content.revision, files)
        activate(project.store, content.revision, actor, instant(project.store.clock()))
    return result


def _failed(project: Project, content: Content) -> list[str]:
    """The cases of journeys and policies that do not hold, each with the command that tells more."""
    lived = run_cases(project.path, content, project.settings, project.vault)
    told = [
        f"{each.journey}: {each.name} (orchestrator journey test {each.journey})" for each in lived if not each.holds
    ]
    folder = locate.folder("channel_policies", project.path)
    categories = categories_of(locate.folder("templates", project.path))
    found = run_policy_cases(folder, categories)
    told += [f"{each.place}: {each.case} (orchestrator policy test)" for each in found.failures]
    effects = check_effects(folder, categories, write=False)
    if not effects.ok:
        n = len(effects.changes)
        told.append(f"channel_policies/golden.json: {n} effects are others than there (orchestrator policy test)")
    return told


def _waiting(project: Project, content: Content, former: dict[str, bytes]) -> list[Standing]:
    """The journeys that this brings, new or changed, and that were not approved as they are."""
    before = versions_in(former, content.journeys)
    standings = project.approvals_of(content).standings()
    return [each for each in standings if each.state != "open" and before[each.journey] != each.version]
