"""Journey cases, lived on the virtual clock: real rules, real words, a store in memory, nobody written to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import journey_orders, switches
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.content import locate
from orchestrator.content.cases import Case, CaseOrder, Expected, event_data, read_cases, unkept
from orchestrator.decide.content import Content
from orchestrator.decide.journeys.triggers import held_out as draws
from orchestrator.decide.journeys.triggers import holdouts
from orchestrator.errors import UsageError
from orchestrator.events.envelope import Event, write_event
from orchestrator.located import nearest
from orchestrator.pipeline import Arrival
from orchestrator.runtimes.embedded.runner import Runner
from orchestrator.runtimes.embedded.sources import Delivery, partition_for
from orchestrator.settings import Settings
from orchestrator.stores.contract import LogRow
from orchestrator.stores.memory import MemoryStore
from orchestrator.times import instant, micros, rfc3339
from orchestrator.vault import Vault
from orchestrator.vouchers import put_codes

SOURCE = "cases"
# so many names are tried until one stands on the side of the holdouts that a case asks for
NAMES = 10_000


class CaseResult(Struct, frozen=True, kw_only=True):
    """What became of one case."""

    journey: str
    name: str
    # what did not happen as expected; empty: the case holds
    failures: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all happened as expected, and nothing else."""
        return not self.failures


class Recorder:
    """An adapter that keeps messages in memory and accepts them all."""

    slots = 8
    capabilities = Capabilities(media=True)

    def __init__(self, channel: str) -> None:
        """Serves one channel."""
        self.channel = channel
        self.messages: dict[str, Message] = {}

    async def send(self, message: Message) -> Answer:
        """Keeps the message; the same touch again replaces it."""
        self.messages[message.touch_id] = message
        return Answer(kind="accepted", provider_id=message.touch_id)

    async def close(self) -> None:
        """Nothing to end."""


def run_cases(
    project: Path, content: Content, settings: Settings, vault: Vault, names: Iterable[str] = ()
) -> list[CaseResult]:
    """Every case of these journeys (of all, where none is named), each journey alone with all policies and laws.

    Raises UsageError for a journey that does not exist, ContentError for case files that can't be read.
    """
    folder = locate.folder("templates", project)
    wanted = tuple(names) or tuple(content.journeys)
    results: list[CaseResult] = []
    for name in wanted:
        path = folder / name / "cases.yaml"
        shown = f"templates/{name}/cases.yaml"
        if name not in content.journeys:
            raise UsageError(f"there is no journey {name}; {nearest(name, content.journeys)}")
        alone = only(content, name)
        if path.is_file():
            results.extend(live(alone, settings, vault, name, case) for case in read_cases(path, shown, content.events))
    return results


def only(content: Content, journey: str) -> Content:
    """The content with this journey alone."""
    return replace(content, journeys={journey: content.journeys[journey]})


def live(content: Content, settings: Settings, vault: Vault, journey: str, case: Case) -> CaseResult:
    """Lives one case and compares: each expectation must be met by a decision of its own, and none may be left over."""
    member = _member(content, vault, journey, held_out=case.held_out)
    if not member:
        side = "held out" if case.held_out else "let in"
        return CaseResult(journey=journey, name=case.name, failures=(f"nobody is {side} by the holdouts there are",))
    store = MemoryStore(1)
    for name, codes in case.vouchers.items():
        put_codes(store, vault, name, codes)
    recorders = {channel: Recorder(channel) for channel in ("email", "sms", "whatsapp", "telegram", "push")}
    with Runner(store, vault, content, settings, recorders) as runner:
        # a case expects its alarms or does not mind them: they are no news
        runner.engine.turner.tells = False
        orders = sorted(case.orders, key=lambda order: order.time)
        deliveries = deque(_deliveries(runner, case, member))
        for order in orders:
            # what comes at the moment of an order comes before it
            at = micros(order.time)
            before = [deliveries.popleft() for _ in range(sum(each.arrival.at <= at for each in deliveries))]
            runner.engine.run_virtual(iter(before), at, runner.drain)
            _give(store, vault, content, journey, member, order)
        runner.engine.run_virtual(iter(deliveries), micros(case.until), runner.drain)
    decisions = [row for row in store.log() if row.kind == "decision" and row.verdict != "defer"]
    deferred = [row for row in store.log() if row.kind == "decision" and row.verdict == "defer"]
    messages = {touch: message for recorder in recorders.values() for touch, message in recorder.messages.items()}
    touched = {row.intent_id: row.touch_id for row in store.log() if row.kind == "touch" and row.state == "reserved"}
    failures: list[str] = []
    for expected in case.expect:
        pool = deferred if expected.verdict == "defer" else decisions
        row = next((row for row in pool if _meets(row, expected)), None)
        if row is None:
            failures.append(f"expected {_told(expected)}, but {_happened(pool)}")
            continue
        pool.remove(row)
        if expected.verdict == "send":
            failures.extend(_words(expected, messages.get(touched.get(row.intent_id, ""))))
    failures.extend(f"not expected: {_row(row)}" for row in decisions)
    return CaseResult(journey=journey, name=case.name, failures=tuple(failures))


def _member(content: Content, vault: Vault, journey: str, *, held_out: bool) -> str:
    """A name on this side of the holdouts that the journey heeds, whatever the key they are drawn with; "" for none."""
    heeded = holdouts(content, content.journeys[journey])
    names = (f"case-member-{i}" for i in range(NAMES))
    return next((name for name in names if held_out == any(draws(vault.id_key, name, each) for each in heeded)), "")


def _give(store: MemoryStore, vault: Vault, content: Content, journey: str, member: str, order: CaseOrder) -> None:
    at = order.time.astimezone(UTC)
    if order.order == "pause":
        switches.switch(store, f"journey:{journey}", off=True, actor=SOURCE, at=at)
    elif order.order == "resume":
        switches.resume(store, journey, actor=SOURCE, at=at)
    elif order.order == "stop":
        switches.stop(store, journey, actor=SOURCE, at=at)
    else:
        journey_orders.start(store, vault, content, journey, (member,), actor=SOURCE, at=at)


def _deliveries(runner: Runner, case: Case, member: str) -> Iterable[Delivery]:
    happens = [event.time for event in case.events] + [order.time for order in case.orders]
    first = case.known_from or min(happens, default=case.until)
    known = Event(
        id="known",
        source=SOURCE,
        type="member.updated" if _enrols(case) else "member.enrolled",
        subject=member,
        time=first.astimezone(UTC) - timedelta(seconds=1),
        data=case.member,
        history=True,
    )
    events = [
        Event(
            id=str(i),
            source=SOURCE,
            type=event.type,
            subject=member,
            time=event.time.astimezone(UTC),
            data=event_data(event, runner.engine.pipeline.content.events),
        )
        for i, event in enumerate(case.events)
    ]
    for event in (known, *sorted(events, key=_time)):
        arrival: Arrival = runner.engine.pipeline.arrival(write_event(event))
        yield Delivery(partition_for(arrival, 1), arrival)


def _enrols(case: Case) -> bool:
    return any(event.type == "member.enrolled" for event in case.events)


def _time(event: Event) -> datetime:
    return event.time


def _meets(row: LogRow, expected: Expected) -> bool:
    return (
        row.verdict == expected.verdict
        and row.journey == expected.journey
        and row.step == expected.step
        and (expected.at is None or row.at == micros(expected.at))
        and (not expected.reason or row.reason == expected.reason)
        and (not expected.channel or row.channel == expected.channel)
    )


def _words(expected: Expected, message: Message | None) -> list[str]:
    if message is None:
        return [f"{_told(expected)}: decided, but no message was sent"]
    failures = []
    if expected.locale and message.locale != expected.locale:
        failures.append(f"{_told(expected)}: written in {message.locale}, expected {expected.locale}")
    missing, unwanted = unkept(expected, message.subject, message.text, message.html)
    failures.extend(f"{_told(expected)}: lacks {words!r}" for words in missing)
    failures.extend(f"{_told(expected)}: must not say {words!r}" for words in unwanted)
    return failures


def _told(expected: Expected) -> str:
    what = "a touch" if expected.verdict == "send" else f"{expected.verdict} {expected.reason}".rstrip()
    on = f" on {expected.channel}" if expected.channel else ""
    at = f" at {rfc3339(expected.at)[:16]}Z" if expected.at is not None else ""
    return f"{what} of {expected.journey}/{expected.step}{on}{at}"


def _row(row: LogRow) -> str:
    what = "a touch" if row.verdict == "send" else f"{row.verdict} {row.reason}"
    return f"{what} of {row.journey}/{row.step} on {row.channel} at {rfc3339(instant(row.at))[:16]}Z"


def _happened(rows: list[LogRow]) -> str:
    return "there was " + ("; ".join(_row(row) for row in rows) if rows else "nothing of the kind")
