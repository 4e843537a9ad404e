"""Approval before activation: a journey that may reach many members needs two people beside its author.

    propose (its author: counts whom it may reach) ─▶ approve, approve (two others) ─▶ members may enter it

Each word is signed with a key of the person's own over the version of the journey's files, and stands in the store
and, with its moment, in the contact log of each partition. Other files are another version, which nobody has approved.
Whoever can write to the store can put no word there in another's name. Whose words count, and above how many members,
is `[approval]` of the settings: where it names nobody, nobody is asked.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from orchestrator.decide import context
from orchestrator.decide.content import Content
from orchestrator.decide.journey import Journey
from orchestrator.decide.member import Member
from orchestrator.errors import SetupError, UsageError
from orchestrator.events.inputs import Command
from orchestrator.located import nearest
from orchestrator.orders import to_all
from orchestrator.person_keys import PersonKey
from orchestrator.records import pages
from orchestrator.render.contract import RenderError
from orchestrator.settings import ApprovalSettings
from orchestrator.stores.contract import Store
from orchestrator.times import rfc3339
from orchestrator.vault import Vault

# beside the author
NEEDED = 2
KIND = "approval"
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64}) (?P<key>[A-Za-z0-9+/]{43}=)")

State = Literal["open", "waiting", "not_proposed"]


class Word(Struct, frozen=True, kw_only=True):
    """What one person said of one version, signed."""

    act: Literal["propose", "approve"]
    by: str
    # RFC 3339 UTC
    at: str
    # whom it may reach, as the author counted
    members: int
    signature: str


class Dossier(Struct, frozen=True, kw_only=True):
    """All that was said of one version of a journey."""

    words: tuple[Word, ...] = ()


class Standing(Struct, frozen=True, kw_only=True):
    """How far a journey is."""

    journey: str
    # of its files: 16 hex digits
    version: str
    # open: members may enter it; waiting: approvers are missing; not_proposed: nobody proposed this version
    state: State
    # whom it may reach by the largest count; -1: nobody counted
    members: int
    authors: tuple[str, ...]
    approvers: tuple[str, ...]
    # how many approvers it needs
    needed: int


class People:
    """Whose words count."""

    def __init__(self, settings: ApprovalSettings) -> None:
        """Raises SetupError for a line that is none, and where two have one name or one key."""
        self.keys: dict[str, str] = {}
        for line in settings.people:
            match = _LINE.fullmatch(line)
            if match is None:
                raise SetupError(
                    "[approval] people: a line is no `name key`; make one: orchestrator content new-key NAME"
                )
            if match["name"] in self.keys or match["key"] in self.keys.values():
                raise SetupError(f"[approval] people: {match['name']} stands there twice, or has another's key")
            self.keys[match["name"]] = match["key"]

    def name_of(self, key: PersonKey) -> str:
        """Whose key this is; raises UsageError for nobody's."""
        for name, public in self.keys.items():
            if public == key.public:
                return name
        raise UsageError("this key is nobody's in [approval] people of orchestrator.toml")


class Approvals:
    """The gate of one project: its store, its people, and the content that is asked about."""

    def __init__(self, store: Store, vault: Vault, content: Content, settings: ApprovalSettings) -> None:
        """Raises SetupError for settings that can't be read."""
        self.store, self.vault, self.content = store, vault, content
        self.people, self.above = People(settings), settings.above_members
        # an approval of one project says nothing in another
        self.project = base64.b64encode(vault.public_key).decode()
        # (journey, version) found open before: it stays so
        self.open: set[tuple[str, str]] = set()

    @property
    def asked(self) -> bool:
        """Whether anybody is asked at all."""
        return bool(self.people.keys)

    def unapproved(self, content: Content) -> frozenset[str]:
        """The journeys of a content that members may not enter for now; each is asked about until it is open."""
        if not self.asked:
            return frozenset()
        waiting = {(name, content.versions[name]) for name in content.journeys} - self.open
        self.open |= {each for each in waiting if self._standing(*each).state == "open"}
        return frozenset([name for name, _ in waiting - self.open])

    def standings(self) -> list[Standing]:
        """How far each journey of the content is."""
        return [self.standing(name) for name in self.content.journeys]

    def standing(self, journey: str) -> Standing:
        """How far a journey of the content is; words that are not signed by whom they name are passed over."""
        return self._standing(journey, self.content.versions[journey])

    def _standing(self, journey: str, version: str) -> Standing:
        words = [word for word in self._dossier(journey, version)[1].words if self._signed(journey, version, word)]
        authors = tuple(dict.fromkeys(word.by for word in words if word.act == "propose"))
        members = max((word.members for word in words if word.act == "propose"), default=-1)
        approvers = tuple(
            dict.fromkeys(
                word.by
                for word in words
                if word.act == "approve" and word.by not in authors and word.members == members
            )
        )
        needed = NEEDED if self.asked and members > self.above else 0
        enough = bool(authors) and len(approvers) >= needed
        state: State = "open" if enough or not self.asked else "waiting" if authors else "not_proposed"
        return Standing(
            journey=journey,
            version=version,
            state=state,
            members=members,
            authors=authors,
            approvers=approvers,
            needed=needed,
        )

    def propose(
        self, journey: str, key: PersonKey, at: datetime, progress: Callable[[int], None] = lambda _: None
    ) -> Standing:
        """The author's word: this version is to be activated, and may reach so many members as are counted now.

        Raises UsageError for a journey or a key that is not known.
        """
        by = self._who(journey, key)
        return self._say(journey, key, by, "propose", self._reach(self.content.journeys[journey], at, progress), at)

    def approve(self, journey: str, key: PersonKey, at: datetime) -> Standing:
        """One approver's word.

        Raises UsageError for a journey or a key that is not known, for a version that nobody proposed, and for its
        author.
        """
        by, stands = self._who(journey, key), self.standing(journey)
        if not stands.authors:
            raise UsageError(
                f"nobody proposed this version of {journey}; first: orchestrator content propose {journey}"
            )
        if by in stands.authors:
            raise UsageError(f"{by} proposed this version of {journey}, and can't approve it")
        return self._say(journey, key, by, "approve", stands.members, at)

    def _who(self, journey: str, key: PersonKey) -> str:
        if journey not in self.content.journeys:
            raise UsageError(f"there is no journey {journey}; {nearest(journey, self.content.journeys)}")
        return self.people.name_of(key)

    def _say(
        self, journey: str, key: PersonKey, by: str, act: Literal["propose", "approve"], members: int, at: datetime
    ) -> Standing:
        """Adds a word, and has each partition put it on record; the same word again changes nothing."""
        version = self.content.versions[journey]
        said = Word(act=act, by=by, at=rfc3339(at), members=members, signature="")
        word = msgspec.structs.replace(said, signature=key.sign(self._statement(journey, version, said)))
        order = Command(
            verb=act, actor=by, arguments={"journey": journey, "version": version, "members": str(members)}, given_at=at
        )
        while True:
            body, dossier = self._dossier(journey, version)
            if any((each.act, each.by, each.members) == (act, by, members) for each in dossier.words):
                return self.standing(journey)
            after = msgspec.json.encode(Dossier(words=(*dossier.words, word)))
            if self.store.replace_document(KIND, f"{journey}/{version}", body, after, to_all(self.store, order)):
                return self.standing(journey)

    def _dossier(self, journey: str, version: str) -> tuple[bytes | None, Dossier]:
        body = self.store.get_document(KIND, f"{journey}/{version}")
        return body, Dossier() if body is None else msgspec.json.decode(body, type=Dossier)

    def _statement(self, journey: str, version: str, word: Word) -> bytes:
        """What a signature is over."""
        said = {"project": self.project, "journey": journey, "version": version, "act": word.act, "by": word.by}
        return msgspec.json.encode(said | {"at": word.at, "members": word.members}, order="sorted")

    def _signed(self, journey: str, version: str, word: Word) -> bool:
        public = self.people.keys.get(word.by, "")
        try:
            key, signature = base64.b64decode(public), base64.b64decode(word.signature)
        except ValueError:
            return False
        return Vault.verify(key, self._statement(journey, version, word), signature)

    def _reach(self, journey: Journey, at: datetime, progress: Callable[[int], None]) -> int:
        """How many of the members known now the journey's audience may hold for; in doubt it does.

        What hangs on the event that would start it is in doubt. `progress` is told of members looked at.
        """
        reached = 0
        for page in pages(self.store, self.vault):
            reached += sum(member is not None and self._may_enter(member, journey, at) for _, member in page)
            progress(len(page))
        return reached

    def _may_enter(self, member: Member, journey: Journey, at: datetime) -> bool:
        if journey.audience is None:
            return True
        try:
            return bool(journey.audience(context.view(member, {}, self.content, at)))
        except RenderError:
            return True


def lines(standings: Iterable[Standing]) -> Iterator[tuple[str, ...]]:
    """What people are shown of each: journey, state, members, authors, approvers."""
    for each in standings:
        told = f"{len(each.approvers)} of {each.needed}" if each.needed else "none needed"
        named = f" ({', '.join(each.approvers)})" if each.approvers else ""
        members = "not counted" if each.members < 0 else f"{each.members:,}"
        yield each.journey, each.state.replace("_", " "), members, ", ".join(each.authors), told + named
