"""What a run came to: figures for `report.json`, and the same as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.chaos.calls import longest_after_optout, touches_of
from tests.chaos.evidence import Evidence, Violation, in_order
from tests.chaos.people import People
from tests.chaos.sabotage import FOUND_BY
from tests.chaos.trouble import Aftermath

if TYPE_CHECKING:
    from tests.chaos.run import Run

# a kill is taken over within the session's time-out and so many seconds more; a worker decides so soon after its start
TAKE_OVER_BEYOND_S = 5.0
FIRST_DECISION_S = 15.0


def report_of(run: Run, violations: list[Violation], evidence: Evidence) -> dict[str, Any]:
    """Everything worth keeping of a run."""
    plan, struck = run.plan, [after for after in run.struck if after.struck.met]
    alone = [after for after in struck if after.alone(struck, run.scaled)]
    kinds = Counter(violation.kind for violation in violations)
    kills = seconds(after for after in alone if after.struck.kind.startswith("kill"))
    history = in_order(evidence.log)
    touches, people = touches_of(history).values(), People(history)
    return {
        "seed": plan.seed,
        "events": len(plan.events),
        "faults": len(plan.faults),
        "sabotage": run.sabotage,
        "violations": len(violations),
        "by_kind": dict(kinds),
        "found_by": sorted(FOUND_BY.get(run.sabotage, set()) & kinds.keys()),
        "first": [f"{violation.kind}: {violation.what}" for violation in violations[:100]],
        "struck": dict(Counter(after.struck.kind for after in struck)),
        "unmet": [after.struck.kind for after in run.struck if not after.struck.met],
        # seconds from the fault, by kind: until all was applied that had been sent; until others had the partitions,
        # and that again where no other fault and no change of scale came between
        "recovery_s": by_kind(struck, lambda after: after.recovered),
        "take_over_s": by_kind(struck, lambda after: after.taken_over),
        "take_over_alone_s": by_kind(alone, lambda after: after.taken_over),
        "take_over_after_kill_s": {
            "all": kills,
            "worst": max(kills, default=None),
            "at_most": plan.pace.session_s + TAKE_OVER_BEYOND_S,
        },
        "first_decision_s": {"was": run.first_decision_s, "below": FIRST_DECISION_S},
        "calls": len(evidence.ledger),
        "answers": dict(Counter(line["answer"] for line in evidence.ledger)),
        "accounts": dict(Counter(line["account"] for line in evidence.ledger)),
        # touches that more than one account was called for
        "failed_over": sum(len({name for name in touch.accounts if name}) > 1 for touch in touches),
        "merges": len(people.joins),
        "vouchers": {
            "loaded": len(evidence.truth.get("codes", ())),
            "sent": len({line["code"] for line in evidence.ledger if line["code"]}),
            "lacking": sum(entry["reason"] == "voucher_none_left" for entry in history),
        },
        # contact points of several members that were called, and the calls
        "shared": _shared(evidence),
        "touches": len(touches),
        "attempts": sum(len(touch.attempts) for touch in touches),
        "not_called": sum(len(touch.attempts) - len(touch.called) for touch in touches),
        "ends": dict(Counter(end for touch in touches for end in touch.ends)),
        "log_entries": len(evidence.log),
        "relayed": len(evidence.relayed),
        "optouts": len(evidence.optouts),
        "last_call_after_optout_s": longest_after_optout(evidence),
        "worker_exits": run.stage.exits,
        "parts_s": run.parts_s,
        "took_s": round(sum(run.parts_s.values()), 1),
    }


def _shared(evidence: Evidence) -> dict[str, int]:
    holders = Counter(contact for each in evidence.truth.get("contacts", {}).values() for contact in each.values())
    calls = Counter(line["to"] for line in evidence.ledger if holders[line["to"]] > 1)
    return {"contact_points": len(calls), "calls": calls.total()}


def by_kind(faults: Iterable[Aftermath], when: Callable[[Aftermath], float | None]) -> dict[str, list[float]]:
    """Seconds from each fault until something, by kind; those after which it did not come are left out."""
    found: dict[str, list[float]] = {}
    for after in faults:
        at = when(after)
        if at is not None:
            found.setdefault(after.struck.kind, []).append(round(at - after.struck.at, 1))
    return found


def seconds(faults: Iterable[Aftermath]) -> list[float]:
    """Seconds from each fault until others had the partitions."""
    return [s for some in by_kind(faults, lambda after: after.taken_over).values() for s in some]


def table_of(report: dict[str, Any]) -> str:
    """The report as Markdown, so that it can be kept as it is."""
    kill, first = report["take_over_after_kill_s"], report["first_decision_s"]
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in report["parts_s"].items())
    return f"""\
| fault | times | recovered after, s: median | worst | partitions taken over after, s: worst | nothing else going on |
|---|---|---|---|---|---|
{_rows(report)}

{report["events"]:,} events, {sum(report["struck"].values())} faults, {report["calls"]:,} calls
({_counts(report["answers"])}), {report["log_entries"]:,} log entries, {report["relayed"]:,} records relayed,
{report["optouts"]:,} opt-outs, {report["merges"]} merges, {_vouchers(report["vouchers"])}.
{report["shared"]["calls"]} calls to {report["shared"]["contact_points"]} contact points of several members;
calls by account {_counts(report["accounts"])}, {report["failed_over"]} touches at both.
{report["attempts"]:,} attempts for {report["touches"]:,} touches
({_counts(report["ends"])}); {report["not_called"]} attempts came too late and made no call.

Taken over after a kill with nothing else going on: {kill["all"]} s (at most {kill["at_most"]:.0f}); first decision
{first["was"]} s after the start (below {first["below"]:.0f}); last call {report["last_call_after_optout_s"]:.3f} s
after an answered opt-out. It took {report["took_s"]:.0f} s: {parts}.

{_findings(report)}"""


def _rows(report: dict[str, Any]) -> str:
    rows = []
    for kind, times in sorted(report["struck"].items()):
        recovered = report["recovery_s"].get(kind, [])
        middle = f"{median(recovered):.1f}" if recovered else ""
        kept = recovered, report["take_over_s"].get(kind, []), report["take_over_alone_s"].get(kind, [])
        worst = " | ".join(f"{max(seconds):.1f}" if seconds else "" for seconds in kept)
        rows.append(f"| {kind} | {times} | {middle} | {worst} |")
    return "\n".join(rows)


def _findings(report: dict[str, Any]) -> str:
    lines = [f"No worker came by: {kind}" for kind in report["unmet"]]
    lines += report["first"][:20]
    kinds = f" {report['by_kind']}" if report["by_kind"] else ""
    lines.append(f"{report['violations']} violations{kinds}")
    if report["sabotage"]:
        found = ", ".join(report["found_by"])
        lines.append(f"SABOTAGE={report['sabotage']} {f'was found: {found}' if found else 'WAS NOT FOUND'}")
        if "not_quiet" in report["by_kind"]:
            lines.append("The run did not come to rest: what it left undone is among the violations.")
    return "\n".join(lines)


def _vouchers(told: dict[str, int]) -> str:
    return f"{told['sent']} of {told['loaded']} voucher codes sent ({told['lacking']} times there was none)"


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counted.items(), key=lambda item: -item[1]))
