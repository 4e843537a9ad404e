"""The moments in which a safeguard matters, brought about on purpose: one for each that can be taken out.

    python -m tests.chaos.steered FOLDER POSTGRES [SABOTAGE]

Quick where a chaos run waits for chance, and as real: the pipeline, PostgreSQL, the dispatcher, the provider with its
ledger. Without a sabotage all the moments are lived through, with one only its own; the evidence is left in the folder
for the checker.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.clocks import elapsed, wall_clock
from orchestrator.contact_log import query
from orchestrator.contact_log.export import export
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.opening import Opening
from orchestrator.errors import Refused
from orchestrator.project import open_project
from orchestrator.runtimes.embedded.engine import Engine
from orchestrator.runtimes.embedded.sources import Delivery, partition_for
from orchestrator.stores.contract import Claim, Clock, SuppressionRow
from tests.chaos import sabotage
from tests.chaos.adapter import HttpAdapter
from tests.chaos.evidence import rfc3339
from tests.chaos.harvest import books, to_do
from tests.chaos.plan import BIG, BRISK, caps
from tests.chaos.project import PARTITIONS, ZONES, hours_from, make_project, write_policies
from tests.servers import end_with_parent

# of a group whose hours close in the middle of it all; the others may be called at any time
SLEEPER = "recheck"
PACE = BRISK._replace(wait_s=1, valid_for_s=8)
# long enough for an attempt, and soon over
LEASE_US = 500_000
# no longer than anything waits here
SOON_US = 10_000_000
QUIET_WITHIN_S = 20.0


class Steered:
    """A project on PostgreSQL with an engine and a provider."""

    def __init__(self, folder: Path, database: str, broken: str) -> None:
        self.folder, self.database = folder, database
        make_project(folder / "project", database, "127.0.0.1:9", PACE)
        self.project = open_project(folder / "project")
        self.store = sabotage.apply(broken, self.project.store)
        # greetings go out, and the purchase of the sleeper is decided, before the hours close
        self.hours = hours_from(time.time() + 5.0)
        write_policies(folder / "project", PACE, self.hours)
        self.opening = Opening(self.store, self.project.vault, self.project.content.policies.latency_margin)
        self.engine = self.new_engine()
        self.provider = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.provider", str(folder / "ledger.jsonl")],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one call to the kernel, which takes no lock
        )
        assert self.provider.stdout is not None
        url = f"http://127.0.0.1:{int(self.provider.stdout.readline())}"
        self.adapters = {channel: HttpAdapter(channel, url, self._about) for channel in ("email", "sms")}
        self.intents: dict[str, dict[str, list[int]]] = {}
        self.optouts: list[dict[str, str]] = []
        self.events = {"distinct": 0, "duplicate": 0}

    def _about(self, touch_id: str) -> tuple[str, str]:
        touch = self.store.touch(touch_id)
        return touch.ref, touch.contact

    # --- what happens

    def new_engine(self) -> Engine:
        """One that has just taken all partitions."""
        return Engine(self.store, self.project.vault, self.project.content)

    def event(self, member: str, id: str, type: str, data: dict[str, Any]) -> Delivery:
        """An event as it arrives now."""
        envelope = {"specversion": "1.0", "id": id, "source": "steered", "type": type, "subject": member, "data": data}
        envelope["time"] = datetime.now(UTC).isoformat()
        arrival = self.engine.pipeline.arrival(json.dumps(envelope).encode(), wall_clock())
        return Delivery(partition_for(arrival, PARTITIONS), arrival)

    def buys(self, member: str) -> Delivery:
        """A purchase that is thanked for, by e-mail."""
        steps = self.intents.setdefault(member, {})
        # not by a digest: what it is worth is thanked for, no more
        steps["thanks/thanks"] = [1, 1]
        self.events["distinct"] += 1
        bought = {"purchase_id": f"p-{member}", "amount": BIG, "currency": "USD"}
        return self.event(member, f"p-{member}", "purchase.completed", bought)

    def enrols(self, member: str) -> None:
        """Someone with an e-mail address who agrees to be written to."""
        zone = ZONES["a" if member == SLEEPER else "b"]
        point = {"channel": "email", "address": f"{member}@example.com"}
        consent = {"purpose": "marketing", "wording": "w1", "method": "form", "evidence": "form 1", "channel": "email"}
        data = {"given_name": member, "country": "US", "zone": zone, "contact_points": [point], "consents": [consent]}
        self.intents[member] = {"greeting/hello": [1, 1], "greeting/tips": [1, 1]}
        self.events["distinct"] += 1
        self.engine.feed([self.event(member, f"e-{member}", "member.enrolled", data)], wall_clock())

    def greets(self) -> None:
        """Both messages of the greeting go out, so that only purchases are left to be thanked for."""
        for wait_s in (0.0, PACE.wait_s + 0.1):
            time.sleep(wait_s)
            self.engine.feed([], wall_clock())
            self.rounds()

    def claim(self, member: str, lease_us: int) -> list[Claim]:
        """A first dispatcher claims the member's touch."""
        claims: list[Claim] = self.store.claim(Clock.store, lease_us, secrets.token_hex(4), 1, "email")
        assert [self.project.vault.member(member)] == [claim.touch.member for claim in claims]
        return claims

    def call(self, claims: list[Claim]) -> None:
        """The first dispatcher goes on: attempt, call; it never comes to the outcome."""
        for claim in self.store.attempt(claims, Clock.store):
            message = self.opening.message(claim.touch)
            assert message is not None
            asyncio.run(self.adapters["email"].send(message))

    def rounds(self) -> None:
        """A second dispatcher does what there is to do."""

        async def drain() -> None:
            opening = self.opening
            settings = self.project.settings.dispatch
            made = Dispatcher(
                self.store,
                self.adapters,
                opening.message,
                opening.permitted,
                settings,
                lambda: secrets.token_hex(4),
                elapsed=elapsed,
            )
            await made.drain(Clock.store)

        asyncio.run(drain())

    # --- what it comes to

    def ends(self) -> int:
        """Turns and calls until nothing is left to do; when that was."""
        until = time.monotonic() + QUIET_WITHIN_S
        while time.monotonic() < until:
            self.engine.feed([], wall_clock())
            self.rounds()
            if to_do(self.database, SOON_US) == 0:
                break
            time.sleep(0.1)
        return wall_clock()

    def leave(self, ended: int) -> None:
        """The evidence."""
        with (self.folder / "log.jsonl").open("wb") as log:
            export(self.store, "jsonl", log, name_of=query.Names(self.store, self.project.vault))
        ends = {row.partition: row.next_offset for row in self.store.progress()}
        self._write("books.json", books(self.database, ends, ended))
        closed = {"group": "a", "from": self.hours.start, "until": self.hours.end, "purposes": ["marketing"]}
        truth = {
            "intents": self.intents,
            "events": self.events,
            "caps": caps(PACE),
            "closed": [closed],
            "groups": {SLEEPER: "a"},
            "consent_purposes": ["marketing"],
            "ended_at": ended,
        }
        self._write("truth.json", truth)
        (self.folder / "optouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.optouts), "utf-8")
        self.provider.kill()
        self.provider.wait()

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")


def epoch(steered: Steered) -> None:
    """An engine that was frozen wakes after another one took its partitions and applied what it had read."""
    frozen = steered.engine
    steered.engine = steered.new_engine()
    bought = steered.buys("epoch")
    steered.engine.feed([bought], wall_clock())
    with suppress(Refused):
        frozen.feed([bought], wall_clock())


def recheck(steered: Steered) -> None:
    """A message waits until the hours have closed."""
    steered.engine.feed([steered.buys("recheck")], wall_clock())
    time.sleep(max(0.0, steered.hours.start / 1e6 + 0.1 - time.time()))


def dedupe(steered: Steered) -> None:
    """The same event comes twice."""
    bought = steered.buys("dedupe")
    steered.events["duplicate"] += 1
    steered.engine.feed([bought], wall_clock())
    steered.engine.feed([bought], wall_clock())


def cas(steered: Steered) -> None:
    """A dispatcher is frozen after its claim and wakes when another one has called."""
    steered.engine.feed([steered.buys("cas")], wall_clock())
    claims = steered.claim("cas", 1)
    steered.rounds()
    steered.call(claims)


def suppression(steered: Steered) -> None:
    """A member opts out between claim and attempt."""
    steered.engine.feed([steered.buys("suppression")], wall_clock())
    claims = steered.claim("suppression", LEASE_US)
    key, since = steered.project.vault.member("suppression"), wall_clock()
    steered.store.suppress([SuppressionRow(key.hex(), "email", "marketing", since, "opted_out")], [])
    said = {"answered_at": rfc3339(wall_clock()), "member": "suppression", "channel": "email", "purpose": "marketing"}
    steered.optouts.append(said)
    steered.call(claims)


def attempt(steered: Steered) -> None:
    """A dispatcher dies after its call, before it can tell."""
    steered.engine.feed([steered.buys("attempt")], wall_clock())
    steered.call(steered.claim("attempt", LEASE_US))
    time.sleep(LEASE_US / 1e6)


MOMENTS: dict[str, Callable[[Steered], None]] = {
    moment.__name__: moment for moment in (recheck, epoch, dedupe, cas, suppression, attempt)
}


def main(folder: Path, database: str, broken: str) -> None:
    """Lives through the moments and leaves the evidence."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["ORCHESTRATOR_STORE_URL"] = database
    steered = Steered(folder, database, broken)
    names = [broken] if broken else list(MOMENTS)
    for name in names:
        steered.enrols(name)
    steered.greets()
    for name in names:
        MOMENTS[name](steered)
        steered.rounds()
    steered.leave(steered.ends())
    steered.project.store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
