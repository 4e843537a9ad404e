"""A journey that may reach many members waits for two people beside its author; each word is signed and on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.approvals import KIND, NEEDED, Approvals, Dossier, People
from orchestrator.contact_log.about import about
from orchestrator.content.load import files_in, versions_in
from orchestrator.decide.content import Content
from orchestrator.errors import SetupError, UsageError
from orchestrator.person_keys import PersonKey
from orchestrator.settings import ApprovalSettings
from orchestrator.starter import create
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World
from orchestrator.vault import KeyFile, Vault
from tests.own_types import declare

NOON = "2026-03-02T17:00:00Z"
AT = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = {name: PersonKey(name.encode().ljust(32)) for name in ("ana", "ben", "cora", "dan")}
PEOPLE = [f"{name} {KEYS[name].public}" for name in ("ana", "ben", "cora")]
JOURNEY = (
    "trigger: {event: purchase.completed}\naudience: \"member.tier == 'Oro'\"\nsteps:\n"
    "  - {send: a, channels: [sms]}\n  - wait: P1D\n  - {send: b, channels: [sms]}\n"
)


def content(version: str = "v1", text: str = JOURNEY) -> Content:
    return replace(content_of(text), versions={"test": version})


def gate(world: World, above: int = 1, people: list[str] = PEOPLE) -> Approvals:
    """The gate of the world's content, which its engine asks from now on."""
    gate = Approvals(world.store, world.vault, world.content, ApprovalSettings(people=people, above_members=above))
    world.unapproved = gate.unapproved
    return gate


def peopled(world: World, gold: int = 2, others: int = 1) -> None:
    """Members of whom so many are of the audience."""
    world.content = content()
    members = [enrolled(f"gold-{i}", NOON, tier="Oro") for i in range(gold)]
    members += [enrolled(f"other-{i}", NOON) for i in range(others)]
    world.live(*members)


def buys(world: World, day: int, until: str | None = None, *, member: str = "gold-0") -> tuple[str, str, str]:
    """What the first step came to for a purchase on that day."""
    world.live(purchase(member, f"2026-03-{day:02}T17:00:00Z"), until=until)
    return world.decisions(member, "test")[-1]


SENT, SILENCE = ("a", "send", ""), ("a", "suppress", "not_approved")


def test_nobody_enters_before_two_others_than_its_author_have_approved(world: World) -> None:
    peopled(world)
    approvals = gate(world)
    assert SILENCE == buys(world, 3)
    assert "waiting" == approvals.propose("test", KEYS["ana"], AT).state
    with pytest.raises(UsageError, match="ana proposed this version of test, and can't approve it"):
        approvals.approve("test", KEYS["ana"], AT)
    for _ in range(2):
        # the same person again is one person
        assert (1, "waiting") == (
            len(approvals.approve("test", KEYS["ben"], AT).approvers),
            approvals.standing("test").state,
        )
    assert SILENCE == buys(world, 4)
    last = approvals.approve("test", KEYS["cora"], AT)
    assert ("open", 2, ("ana",), ("ben", "cora"), NEEDED) == (
        last.state,
        last.members,
        last.authors,
        last.approvers,
        last.needed,
    )
    assert SENT == buys(world, 5)


def test_nobody_is_let_in_to_wait_inside(world: World) -> None:
    """Who came before the approval is not written to after it."""
    peopled(world)
    world.content = content("v1", JOURNEY.replace("steps:\n", "steps:\n  - wait: P2D\n"))
    approvals = gate(world, above=2)
    world.live(purchase("gold-0", "2026-03-03T17:00:00Z"), until="2026-03-03T18:00:00Z")
    assert [SILENCE] == world.decisions("gold-0", "test")
    approvals.propose("test", KEYS["ana"], AT)
    world.live(purchase("gold-1", "2026-03-04T17:00:00Z"), until="2026-03-10T00:00:00Z")
    assert [SILENCE] == world.decisions("gold-0", "test")
    assert [SENT, ("b", "send", "")] == world.decisions("gold-1", "test")


def test_what_was_said_is_in_the_log_of_each_partition_with_its_moment(world: World) -> None:
    peopled(world)
    approvals = gate(world)
    approvals.propose("test", KEYS["ana"], AT)
    approvals.approve("test", KEYS["ben"], AT + timedelta(hours=1))
    buys(world, 3)
    told = [
        (row.reason, json.loads(row.trail), row.occurred_at)
        for row in world.log(kind="operator")
        if row.reason in ("propose", "approve")
    ]
    said = {"journey": "test", "version": "v1", "members": "2"}
    assert world.store.partitions == len([each for each in told if each[0] == "approve"])
    assert {"ana", "ben"} == {each[1].pop("actor") for each in told}
    assert all(said == each[1] for each in told)
    assert {1_772_323_200_000_000, 1_772_326_800_000_000} == {each[2] for each in told}
    found = about(world.store, world.vault, "gold-0")
    assert "had not been approved" in str(found)


def test_up_to_the_limit_its_authors_word_is_enough(world: World) -> None:
    """Counted are those for whom the audience holds; a condition that hangs on the event holds in doubt."""
    peopled(world, gold=2, others=1)
    assert ("open", 2) == (
        (stands := gate(world, above=2).propose("test", KEYS["ana"], AT)).state,
        stands.members,
    )
    assert SENT == buys(world, 3)
    for audience, members in (("event.amount > 5", 3), ("member.tier == 'Plata'", 0)):
        world.content = content(audience, JOURNEY.replace("member.tier == 'Oro'", audience))
        assert members == gate(world).propose("test", KEYS["ana"], AT).members


def test_other_files_are_another_version_and_who_is_inside_hears_nothing_of_it(world: World) -> None:
    """What was reserved under the approved version goes out; what comes due under the other is a silence."""
    peopled(world)
    approvals = gate(world)
    for act, name in (("propose", "ana"), ("approve", "ben"), ("approve", "cora")):
        getattr(approvals, act)("test", KEYS[name], AT)
    assert SENT == buys(world, 3, "2026-03-03T18:00:00Z")
    world.content = content("v2")
    assert "not_proposed" == gate(world).standing("test").state
    world.live(until="2026-03-06T00:00:00Z")
    assert ("b", "suppress", "not_approved") == world.decisions("gold-0", "test")[-1]
    assert SILENCE == buys(world, 7)
    # back to what was approved
    world.content = content()
    gate(world)
    assert SENT == buys(world, 8)


def test_what_waited_for_its_hour_under_an_approved_version_is_not_sent_under_another(world: World) -> None:
    text = JOURNEY.replace("journey: test\n", "")
    peopled(world)
    world.content = replace(content_of("purpose: marketing\n" + text), versions={"test": "v1"})
    gate(world, people=[])
    # at three in the night of New York
    world.live(purchase("gold-0", "2026-03-03T08:00:00Z"))
    assert "defer" == world.decisions("gold-0", "test")[-1][1]
    gate(world)
    world.live(until="2026-03-04T00:00:00Z")
    assert SILENCE == world.decisions("gold-0", "test")[-1]


def test_where_nobody_is_named_nobody_is_asked(world: World) -> None:
    peopled(world)
    approvals = gate(world, people=[])
    assert SENT == buys(world, 3)
    assert "open" == approvals.standing("test").state
    with pytest.raises(UsageError, match="nobody's"):
        approvals.propose("test", KEYS["ana"], AT)


class TestWordsThatDoNotCount:
    @pytest.fixture
    def proposed(self, new_world: Callable[[], World]) -> tuple[World, Approvals]:
        world = new_world()
        peopled(world)
        approvals = gate(world)
        approvals.propose("test", KEYS["ana"], AT)
        approvals.approve("test", KEYS["ben"], AT)
        return world, approvals

    def test_strangers_and_versions_that_nobody_proposed(self, proposed: tuple[World, Approvals]) -> None:
        world, approvals = proposed
        with pytest.raises(UsageError, match="nobody's"):
            approvals.approve("test", KEYS["dan"], AT)
        with pytest.raises(UsageError, match="did you mean `test`"):
            approvals.approve("tset", KEYS["cora"], AT)
        world.content = content("v2")
        with pytest.raises(UsageError, match="nobody proposed this version"):
            gate(world).approve("test", KEYS["cora"], AT)

    def test_a_word_written_into_the_store_in_anothers_name(self, proposed: tuple[World, Approvals]) -> None:
        world, approvals = proposed
        body = world.store.get_document(KIND, "test/v1")
        dossier = msgspec.json.decode(body or b"", type=Dossier)
        ben = dossier.words[-1]
        for forged in (
            replace(ben, by="cora"),
            replace(ben, by="cora", signature=""),
            replace(ben, by="cora", signature="no base64"),
            replace(dossier.words[0], act="approve", by="cora"),
        ):
            world.store.put_document(KIND, "test/v1", msgspec.json.encode(Dossier(words=(*dossier.words, forged))))
            assert ("waiting", ("ben",)) == (
                approvals.standing("test").state,
                approvals.standing("test").approvers,
            )
        # nor can the count be made smaller
        small = replace(dossier.words[0], members=1)
        world.store.put_document(KIND, "test/v1", msgspec.json.encode(Dossier(words=(small,))))
        assert "not_proposed" == approvals.standing("test").state

    def test_a_word_about_another_version_journey_or_project(
        self, proposed: tuple[World, Approvals], tmp_path: Path
    ) -> None:
        world, approvals = proposed
        assert "open" == approvals.approve("test", KEYS["cora"], AT).state
        body = world.store.get_document(KIND, "test/v1") or b""
        world.store.put_document(KIND, "test/v2", body)
        world.content = content("v2")
        assert "not_proposed" == gate(world).standing("test").state
        elsewhere = World(world.store, Vault(KeyFile.create(tmp_path / "key")), content())
        assert "not_proposed" == gate(elsewhere).standing("test").state

    def test_who_proposed_it_once_never_approves_it(self, proposed: tuple[World, Approvals]) -> None:
        """Else an author would have somebody propose it once more."""
        _, approvals = proposed
        assert ("ana", "ben") == approvals.propose("test", KEYS["ben"], AT).authors
        stands = approvals.approve("test", KEYS["cora"], AT)
        assert ("waiting", ("cora",)) == (stands.state, stands.approvers)

    def test_what_was_approved_for_fewer_members(self, proposed: tuple[World, Approvals]) -> None:
        world, approvals = proposed
        assert "open" == approvals.approve("test", KEYS["cora"], AT).state
        world.live(enrolled("gold-2", "2026-03-03T17:00:00Z", tier="Oro"))
        stands = approvals.propose("test", KEYS["ana"], AT)
        assert ("waiting", 3, ()) == (stands.state, stands.members, stands.approvers)
        approvals.approve("test", KEYS["ben"], AT)
        assert "open" == approvals.approve("test", KEYS["cora"], AT).state


@pytest.mark.parametrize(
    "people",
    [["ana"], ["ana abc"], [PEOPLE[0], f"ana {KEYS['ben'].public}"], [PEOPLE[0], f"ben {KEYS['ana'].public}"]],
    ids=["no key", "a key that is none", "a name twice", "a key twice"],
)
def test_people_who_can_not_be_told_apart_are_an_error_of_the_settings(people: list[str]) -> None:
    with pytest.raises(SetupError, match=r"\[approval\] people"):
        People(ApprovalSettings(people=people))


def test_a_persons_key_is_theirs_alone(tmp_path: Path) -> None:
    file = tmp_path / "ana.key"
    made = PersonKey.create(file)
    assert (made.public, 0o600) == (PersonKey.load(file).public, file.stat().st_mode & 0o777)
    assert file.read_text(encoding="ascii").strip() not in repr(made)
    with pytest.raises(SetupError, match="not overwritten"):
        PersonKey.create(file)
    file.chmod(0o640)
    with pytest.raises(SetupError, match="can be read by others"):
        PersonKey.load(file)
    (tmp_path / "none.key").write_text("no key", encoding="ascii")
    (tmp_path / "none.key").chmod(0o600)
    with pytest.raises(SetupError, match="no key of a person"):
        PersonKey.load(tmp_path / "none.key")
    with pytest.raises(SetupError, match="can't be read"):
        PersonKey.load(tmp_path / "absent.key")


def test_a_version_hangs_on_what_members_get_of_a_journey_and_on_nothing_else(tmp_path: Path) -> None:
    project = create(tmp_path / "club").project
    names = [path.parent.name for path in (project / "templates").glob("*/journey.yaml")]
    before = versions_in(files_in(project), names)

    def changed(file: str) -> set[str]:
        path = project / file
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n", encoding="utf-8")
        after = versions_in(files_in(project), names)
        path.write_text(text, encoding="utf-8")
        return {name for name in before if before[name] != after[name]}

    assert {"welcome"} == changed("templates/welcome/journey.yaml")
    assert {"welcome"} == changed("templates/welcome/hello.sms.en.txt.j2")
    assert set() == changed("templates/welcome/cases.yaml") | changed("channel_policies/house.yaml")
    assert set(before) == changed("templates/_layout/email.en.txt.j2")
    declare(project, "stay.booked")
    assert set(before) == {
        name for name, version in versions_in(files_in(project), names).items() if version != before[name]
    }
