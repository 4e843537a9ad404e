"""What marketing must show of who writes, by the law packs, and the names by which templates have it.

Of what `content` rules require, this is what a machine can look for; whether a subject is true remains a reader's work.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from orchestrator.decide.law import LawBook, LawPack, LawRule

# a pack's word -> the name in templates
SHOWN_BY = {
    "postal_address": "postal_address",
    "opt_out_notice": "unsubscribe_url",
    "simple_way_to_cancel": "unsubscribe_url",
}


class Disclosure(Struct, frozen=True, kw_only=True):
    """One thing that messages must show, and who asks for it."""

    # in templates
    name: str
    # `rule us.email.content (US@2026.11.0), 15 USC 7704(a)(1)-(5)`
    asked_by: str


# the house's own: who can't leave complains
OPT_OUT = Disclosure(name="unsubscribe_url", asked_by="the house")


def disclosures(laws: LawBook, today: date) -> tuple[Disclosure, ...]:
    """What marketing e-mail must show by the house and by any pack on that day, each name once."""
    found = {OPT_OUT.name: OPT_OUT}
    rules = ((pack, rule) for pack in laws.packs.values() for rule in pack.rules if rule.kind == "content")
    for pack, rule in rules:
        if laws.binds(rule) and rule.covers("email", "marketing") and _holds(rule, today):
            for word in rule.terms.get("require", "").split(", "):
                if name := SHOWN_BY.get(word):
                    found.setdefault(name, Disclosure(name=name, asked_by=_told(pack, rule)))
    return tuple(found.values())


def _holds(rule: LawRule, day: date) -> bool:
    return (rule.starts is None or rule.starts <= day) and (rule.ends is None or day < rule.ends)


def _told(pack: LawPack, rule: LawRule) -> str:
    return ", ".join([f"rule {rule.id} ({pack.name})", *[cite.at for cite in rule.cites]])
