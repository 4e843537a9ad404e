"""The conditions under which a law lets a customer be written to who did not ask for it, and what each rests on.

A law pack names its conditions; a word that stands nowhere here is refused as the pack is read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from orchestrator.decide.member import Consent, Member


def _bought(name: str, member: Member, record: Consent) -> str:
    """A purchase on record makes a customer, and so does a proof that speaks of one."""
    return "a purchase on record" if "purchase.completed" in member.aggregates else _attested(name, member, record)


def _attested(name: str, _: Member, record: Consent) -> str:
    return "the proof" if name in record.conditions else ""


def _offered(_name: str, _member: Member, record: Consent) -> str:
    """Texts tell the way out, or `template lint` refuses them; platforms have a button for it. A call has neither."""
    if record.channel in ("email", "sms"):
        return "the texts"
    return "" if record.channel == "phone" else "the platform"


def _condition(rests_on: Callable[[str, Member, Consent], str], name: str) -> Callable[[Member, Consent], str]:
    return partial(rests_on, name)


# a law pack's word -> what it rests on for this member and record, "" where it is not met
CONDITIONS: dict[str, Callable[[Member, Consent], str]] = {
    "prior_contract": _condition(_bought, "prior_contract"),
    "existing_customer": _condition(_bought, "existing_customer"),
    "address_lawfully_obtained": _condition(_attested, "address_lawfully_obtained"),
    "own_similar_products": _condition(_attested, "own_similar_products"),
    "not_a_random_number": _condition(_attested, "not_a_random_number"),
    # when the address was collected …
    "objection_offered": _condition(_attested, "objection_offered"),
    # … and in each message since
    "objection_offered_each_time": _condition(_offered, "objection_offered_each_time"),
}
