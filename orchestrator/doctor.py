"""Is this project fit to run? Each check says what it found and what cures it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from orchestrator.channels.accounts import Account
from orchestrator.channels.load import load_accounts
from orchestrator.clocks import wall_clock
from orchestrator.contact_log import checkpoint as checkpoints
from orchestrator.content import locate, tables
from orchestrator.content.check import checked
from orchestrator.content.disclosures import disclosures
from orchestrator.content.journeys import load_pools, promised_by
from orchestrator.content.laws import overdue
from orchestrator.content.sender import examples
from orchestrator.decide.law import LawBook
from orchestrator.dispatch.breaker import open_breakers
from orchestrator.domain import Check, examine_click, examine_domain
from orchestrator.errors import ContentError, OrchestratorError
from orchestrator.project import Project, open_project
from orchestrator.revisions import in_force
from orchestrator.stores.outbox import at_account
from orchestrator.times import instant, rfc3339
from orchestrator.voucher_pools import standing

ENOUGH_DISK = 1 << 30
# seconds that the clocks of this machine and of the store may differ by
LARGEST_SKEW_S = 2.0


def examine(path: Path, today: date, parts: Iterable[str] = ()) -> list[Check]:
    """The checks of a project folder, all of them or of some `parts`; `today` judges dates of laws and reviews.

    Never raises for what it examines. Raises KeyError for a part that is none of keys, store, vouchers, clocks,
    content, approvals, channels, machine.
    """
    try:
        project = open_project(path)
    except OrchestratorError as error:
        return [Check(name="settings", state="fail", found=str(error))]
    checks = [Check(name="settings", state="ok", found=f"{project.path}/orchestrator.toml")]
    with project:
        for name in parts or _EXAMINED:
            try:
                checks.extend(_EXAMINED[name](project, today))
            except ContentError as error:
                checks += [
                    Check(name=name, state="fail", found=f"{each.place}: {each.what}", cure=each.cure)
                    for each in error.problems
                ]
            except OrchestratorError as error:
                checks.append(Check(name=name, state="fail", found=str(error)))
    return checks


def examine_domains(path: Path, now: datetime) -> list[Check]:
    """The domains that e-mail comes from at `now` (aware), asked by DNS, and the one click asked by HTTP.

    Never raises for what it examines.
    """
    try:
        with open_project(path) as project:
            return list(_domains(project, now))
    except ContentError as error:
        return [Check(name="content", state="fail", found=str(error), cure="orchestrator doctor")]
    except OrchestratorError as error:
        return [Check(name="domain", state="fail", found=str(error))]


def _domains(project: Project, now: datetime) -> Iterator[Check]:
    settings = project.settings
    domain = project.content.policies.sender("email", now).address.rpartition("@")[2].lower()
    if not domain:
        cure = "add a dated entry with `sender` to channel_policies/email.yaml"
        yield Check(name="domain", state="fail", found="no sender of e-mail is named", cure=cure)
    else:
        yield from examine_domain(domain, settings.domain)
    yield from examine_click(settings.public_url, settings.domain.timeout_s)


def _keys(project: Project, _today: date) -> Iterator[Check]:
    public = project.vault.public_key.hex()
    yield Check(name="keys", state="ok", found=f"{project.settings.keys.file}, signs as {public[:16]}…")


def _store(project: Project, _today: date) -> Iterator[Check]:
    partitions = project.store.progress()
    entries = sum(row.log_n for row in partitions)
    yield Check(name="store", state="ok", found=f"{len(partitions)} partitions in use, {entries:,} log entries")
    if project.folder_differs():
        found = f"the folder is not what is in force (revision {in_force(project.store)})"
        yield Check(name="in force", state="warn", found=found, cure="orchestrator content diff, then content activate")
    dead = sum(n for (_, name), n in project.store.totals().items() if name == "dead")
    if dead:
        yield Check(name="dead letters", state="warn", found=f"{dead:,}", cure="orchestrator dlq list")
    parked = sum(n for (_, name), n in project.store.totals().items() if name == "parked")
    if parked:
        yield Check(name="quarantine", state="warn", found=f"{parked:,} inputs parked", cure="orchestrator dlq parked")
    if entries and checkpoints.latest(project.store, project.vault) is None:
        cure = "orchestrator log checkpoint --out FILE, and keep FILE where the operator can't reach it"
        yield Check(name="checkpoint", state="warn", found="the log was never signed", cure=cure)


def _vouchers(project: Project, today: date) -> Iterator[Check]:
    """Only pools whose codes a journey promises: what is low, or can't be given any more."""
    folder = locate.folder("templates", project.path)
    for pool in standing(project.store, load_pools(folder), promised_by(folder)):
        if not pool.journeys:
            continue
        codes = f"{pool.left:,} code{'' if pool.left == 1 else 's'} left"
        name, cure = f"vouchers {pool.pool}", f"orchestrator voucher load {pool.pool} FILE"
        if pool.last_day is not None and pool.last_day < today:
            found = f"good until {pool.last_day} only, and {', '.join(pool.journeys)} promises them"
            yield Check(name=name, state="fail", found=found, cure="name another pool, or another last_day")
        elif pool.low or not pool.left:
            state: Literal["warn", "fail"] = "warn" if pool.left else "fail"
            yield Check(name=name, state=state, found=codes, cure=cure)
        else:
            yield Check(name=name, state="ok", found=f"{codes}, {pool.given:,} given")


def _clocks(project: Project, _today: date) -> Iterator[Check]:
    """Touches are sent by the store's clock, and decided by the broker's and this machine's."""
    before, theirs, after = wall_clock(), project.store.clock(), wall_clock()
    skew_s = max(before - theirs, theirs - after, 0) / 1_000_000
    found = f"the store's clock and this machine's differ by {skew_s:.1f} s"
    if skew_s > LARGEST_SKEW_S:
        cure = f"let both follow the same time servers (NTP): more than {LARGEST_SKEW_S:.0f} s is too much"
        yield Check(name="clocks", state="fail", found=found, cure=cure)
    else:
        yield Check(name="clocks", state="ok", found=found)


def _approvals(project: Project, _today: date) -> Iterator[Check]:
    if not project.approvals.asked:
        return
    waiting = [each.journey for each in project.approvals.standings() if each.state != "open"]
    if waiting:
        cure = "orchestrator content approvals"
        yield Check(name="approvals", state="warn", found=f"nobody may enter {', '.join(waiting)}", cure=cure)
    else:
        yield Check(name="approvals", state="ok", found="every journey is open as its files are now")


def _content(project: Project, today: date) -> Iterator[Check]:
    content = checked(project.path, project.settings, today)
    found = f"revision {content.revision}: {len(content.journeys)} journeys"
    yield Check(name="content", state="ok", found=found)
    if not isinstance(content.laws, LawBook):
        return
    # nobody real is written to as long as all is captured
    dispatch = project.settings.dispatch
    real = any(
        dispatch.account(n).adapter != "capture" for channel in dispatch.adapters for n in dispatch.names(channel)
    )
    for problem in examples(project.path, project.settings, content, disclosures(content.laws, today)):
        place = f"{problem.file}:{problem.line}: {problem.what}"
        yield Check(name="sender", state="fail" if real else "warn", found=place, cure=problem.cure)
    for pack in content.laws.packs.values():
        if pack.status == "draft":
            yield Check(name=f"law {pack.name}", state="warn", found="draft: nobody has reviewed it")
    for late in overdue(content.laws, today):
        cure = "read its sources again and set reviewed_on and review_due"
        yield Check(name="law", state="warn", found=f"review is overdue: {late}", cure=cure)


def _channels(project: Project, _today: date) -> Iterator[Check]:
    off = {row.scope: row for row in project.store.switches()}
    left_alone = open_breakers(project.store)
    for channel, accounts in load_accounts(project.settings, project.path).items():
        told = ", then ".join(_account(account) for account in accounts)
        yield Check(name=f"channel {channel}", state="ok", found=told)
        for account in accounts:
            paused, stands = off.get(at_account(account.name)), left_alone.get(account.name)
            on = f"orchestrator switch on {at_account(account.name)}"
            if paused:
                found = f"paused since {rfc3339(instant(paused.since))} by {paused.actor}"
                yield Check(name=f"account {account.name}", state="warn", found=found, cure=on)
            if stands:
                found = f"left alone since {rfc3339(instant(stands.since))}, as it said: {stands.said}"
                cure = f"it is tried again by itself; when you have mended it: {on}"
                yield Check(name=f"account {account.name}", state="fail", found=found, cure=cure)


def _account(account: Account) -> str:
    """An account in a line: its name, and its bounds."""
    if account.bounds.adapter == "capture":
        return f"{account.name}: kept on disk, nobody is written to"
    rate = f", {account.bounds.per_second:g} a second" if account.bounds.per_second else ""
    by = f" ({account.bounds.adapter})" if account.bounds.adapter not in ("", account.name) else ""
    return f"{account.name}{by}: {account.adapter.slots} calls at once{rate}"


def _machine(project: Project, _today: date) -> Iterator[Check]:
    versions = ", ".join(f"{name} {version}" for name, version in tables.versions().items())
    yield Check(name="tables", state="ok", found=f"{versions}, SQLite {sqlite3.sqlite_version}")
    free = shutil.disk_usage(project.path).free
    state: Literal["ok", "warn"] = "ok" if free > ENOUGH_DISK else "warn"
    yield Check(
        name="disk", state=state, found=f"{free / (1 << 30):,.1f} GiB free", cure="" if state == "ok" else "make room"
    )


_EXAMINED: dict[str, Callable[[Project, date], Iterator[Check]]] = {
    "keys": _keys,
    "store": _store,
    "vouchers": _vouchers,
    "clocks": _clocks,
    "content": _content,
    "approvals": _approvals,
    "channels": _channels,
    "machine": _machine,
}
