"""What a run came to: figures for `report.json`, and the same as a table for people."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.chaos.calls import longest_after_optout, touches_of
from tests.chaos.evidence import Evidence, Violation

if TYPE_CHECKING:
    from tests.chaos.run import Run

# a kill is taken over within the session's time-out and so many seconds more; a worker decides so soon after its start
TAKE_OVER_BEYOND_S = 5.0
FIRST_DECISION_S = 15.0


def report_of(run: Run, violations: list[Violation], evidence: Evidence) -> dict[str, Any]:
    """Everything worth keeping of a run."""
    plan = run.plan
    kills = [s for kind, seconds in run.take_over_s.items() if kind.startswith("kill") for s in seconds]
    at_most = plan.pace.session_s + TAKE_OVER_BEYOND_S
    touches = touches_of(evidence.log).values()
    return {
        "seed": plan.seed,
        "events": len(plan.events),
        "faults": len(plan.faults),
        "sabotage": run.sabotage,
        "violations": len(violations),
        "by_kind": dict(Counter(violation.kind for violation in violations)),
        "first": [f"{violation.kind}: {violation.what}" for violation in violations[:100]],
        "struck": dict(Counter(struck.kind for struck in run.struck if struck.met)),
        "unmet": [struck.kind for struck in run.struck if not struck.met],
        "recovery_s": dict(run.recovery_s),
        "take_over_s": dict(run.take_over_s),
        "take_over_after_kill_s": {"worst": max(kills, default=None), "at_most": at_most},
        "first_decision_s": {"was": run.first_decision_s, "below": FIRST_DECISION_S},
        "calls": len(evidence.ledger),
        "answers": dict(Counter(line["answer"] for line in evidence.ledger)),
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


def table_of(report: dict[str, Any]) -> str:
    """The report as Markdown, so that it can be kept as it is."""
    kill, first = report["take_over_after_kill_s"], report["first_decision_s"]
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in report["parts_s"].items())
    return f"""\
| fault | times | recovered after, s: median | worst | partitions taken over after, s: worst |
|---|---|---|---|---|
{_rows(report)}

{report["events"]:,} events, {sum(report["struck"].values())} faults, {report["calls"]:,} calls
({_counts(report["answers"])}), {report["log_entries"]:,} log entries, {report["relayed"]:,} records relayed,
{report["optouts"]:,} opt-outs. {report["attempts"]:,} attempts for {report["touches"]:,} touches
({_counts(report["ends"])}); {report["not_called"]} attempts came too late and made no call.

Taken over after a kill within {kill["worst"]} s (at most {kill["at_most"]:.0f}), first decision {first["was"]} s after
the start (below {first["below"]:.0f}), last call {report["last_call_after_optout_s"]:.3f} s after an answered opt-out.
It took {report["took_s"]:.0f} s: {parts}.

{_findings(report)}"""


def _rows(report: dict[str, Any]) -> str:
    rows = []
    for kind, times in sorted(report["struck"].items()):
        recovered, taken = report["recovery_s"].get(kind, []), report["take_over_s"].get(kind, [])
        middle = f"{median(recovered):.1f}" if recovered else ""
        worst, last = (f"{max(seconds):.1f}" if seconds else "" for seconds in (recovered, taken))
        rows.append(f"| {kind} | {times} | {middle} | {worst} | {last} |")
    return "\n".join(rows)


def _findings(report: dict[str, Any]) -> str:
    lines = [f"No worker came by: {kind}" for kind in report["unmet"]]
    lines += report["first"][:20]
    kinds = f" {report['by_kind']}" if report["by_kind"] else ""
    return "\n".join([*lines, f"{report['violations']} violations{kinds}"])


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counted.items(), key=lambda item: -item[1]))
