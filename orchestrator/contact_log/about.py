"""All that the log says about one member, asked by the member's id."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from orchestrator.contact_log.explain import CiteOf, Paragraph, explain, no_cite
from orchestrator.contact_log.query import ref_of
from orchestrator.contact_log.stops import about_addresses
from orchestrator.decide.law import LawBook
from orchestrator.decide.member import Member
from orchestrator.events.partition import partition_of
from orchestrator.stores.contract import LogRow, Store
from orchestrator.vault import Vault

Why = Literal[
    "where", "audience", "reentry", "running", "history", "no_journey",
    "no_event", "silence_runs", "parked", "erased", "unreadable",
    # a figure, a date or schedule, an audience, an order
    "figure", "to_come", "no_date", "group", "by_hand",
]  # fmt: skip


class NotStarted(Struct, frozen=True, kw_only=True):
    """One occasion on which a journey might have started, and did not: the log holds nothing of it."""

    # RFC 3339 UTC: its turn's now; where nothing came, the moment asked about
    at: str
    journey: str
    why: Why
    # one sentence
    text: str


class Explanation(Struct, frozen=True, kw_only=True):
    """What happened to one member, and why."""

    member_ref: str
    # intents that ended as a touch, as a silence, and that wait
    touches: int
    silences: int
    waiting: int
    paragraphs: tuple[Paragraph, ...]
    # the id that this one is an alias of, and those that are aliases of this one: their stories are told too
    merged_into: str = ""
    absorbed: tuple[str, ...] = ()
    # asked of one journey alone (`orchestrator.untriggered`)
    not_started: tuple[NotStarted, ...] = ()


def about(
    store: Store,
    vault: Vault,
    member_id: str,
    cite_of: CiteOf = no_cite,
    *,
    journey: str = "",
    until: datetime | None = None,
) -> Explanation:
    """Every touch and every silence of a member, told in the order they began; see `explain`.

    Raises UsageError where nobody of this id is known.
    """
    ref = ref_of(store, vault, member_id)
    member = _member(store, vault, member_id)
    others: tuple[str, ...] = ()
    into = ""
    if member is not None:
        into, others = member.merged_into, tuple(sorted(member.absorbed))
    story = [_rows(store, vault, name) for name in others]
    zone = None if member is None else _clock(member)
    house = list(store.log(partition=partition_of(member_id, store.partitions), ref=""))
    addresses = {point.fingerprint for point in member.contact_points} if member is not None else set()
    rows = [*store.log(ref=ref), *chain.from_iterable(story), *about_addresses(house, addresses)]
    told = explain(sorted(rows), cite_of, zone, journey=journey, until=until, house=house)
    outcomes = [paragraph.outcome for paragraph in told]
    return Explanation(
        member_ref=ref,
        touches=outcomes.count("touch"),
        silences=outcomes.count("silence"),
        waiting=outcomes.count("waiting"),
        paragraphs=tuple(told),
        merged_into=into,
        absorbed=others,
    )


def _rows(store: Store, vault: Vault, member_id: str) -> list[LogRow]:
    row = store.member(vault.member(member_id))
    return [] if row is None else list(store.log(ref=row.ref))


def cites(book: LawBook) -> CiteOf:
    """The title and link of the article behind each rule of these packs, by rule id and pack (`US-NY@2026.11.0`)."""
    articles: dict[tuple[str, str], tuple[str, str]] = {}
    for pack in book.packs.values():
        for rule in pack.rules:
            sources = [pack.source(cite.source) for cite in rule.cites]
            # the text of the law rather than what somebody wrote of it
            for source in sorted(sources, key=lambda source: source.kind != "primary")[:1]:
                articles.setdefault((rule.id, pack.name), (source.title, source.url))
    return lambda rule, version: articles.get((rule, version))


def _member(store: Store, vault: Vault, member_id: str) -> Member | None:
    """What is known of the member now; None for one who is erased."""
    row = store.member(vault.member(member_id))
    wrapped = store.key(row.ref) if row is not None and not row.erased else None
    if row is None or wrapped is None:
        return None
    return msgspec.json.decode(vault.sealer(row.ref, wrapped).open(row.state), type=Member)


def _clock(member: Member) -> ZoneInfo | None:
    """The member's present clock, for entries that name none; None where it is unknown."""
    try:
        return ZoneInfo(member.residence.zones[0]) if member.residence.zones else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
