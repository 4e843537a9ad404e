"""What each kind of law rule answers. A clause is one dated version of one rule, compiled; it holds no state.

A clause is asked only while it is in force and only about the channels and purposes that it binds; `decide.law` sees
to both. All times of day are the member's; a member without a known zone is judged in every zone of the country.

    consent      a word of the member
    hours        the hours of the member's day, and public holidays
    caps         how much in how long
    registries   do-not-contact lists
    bars         what is barred always or by age, and what an article leaves free
    exceptions   what makes a rule pass
    clause       what all kinds share
"""

from orchestrator.decide.law_rules.bars import AgeClause, BlockClause, ExemptClause
from orchestrator.decide.law_rules.caps import CapClause
from orchestrator.decide.law_rules.clause import EVER, NEVER, Clause
from orchestrator.decide.law_rules.consent import ConsentClause, Model
from orchestrator.decide.law_rules.exceptions import EXCEPTIONS, OWN_WORD, excepted
from orchestrator.decide.law_rules.hours import Calendar, HoursClause
from orchestrator.decide.law_rules.registries import RegistryClause, for_channel

__all__ = [
    "EVER",
    "EXCEPTIONS",
    "NEVER",
    "OWN_WORD",
    "AgeClause",
    "BlockClause",
    "Calendar",
    "CapClause",
    "Clause",
    "ConsentClause",
    "ExemptClause",
    "HoursClause",
    "Model",
    "RegistryClause",
    "excepted",
    "for_channel",
]
