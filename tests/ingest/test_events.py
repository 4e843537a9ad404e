"""From a row's values to its events: when, once, for whom, at which instant, under which identity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

Run = Callable[..., Any]
HEADER = "receipt,card,at,total,shop\n"
DATA = {"purchase_id": "=receipt", "amount": "=total", "currency": "USD", "store": "=shop"}


def purchase(**changes: Any) -> dict[str, Any]:
    return {"type": "purchase.completed", "data": DATA, **changes}


def row(receipt: str = "r1", card: str = "ana", at: str = "2026-03-02T12:00:00Z", total: str = "19.99") -> str:
    return f"{receipt},{card},{at},{total},330\n"


class TestOncePer:
    MAPPING: dict[str, Any] = {  # noqa: RUF012  # a constant of these tests
        "emit": [
            {"type": "member.enrolled", "once_per": "card", "time": {"of": "at", "shift": "-PT1S"}},
            purchase(),
        ]
    }

    def test_only_the_first_row_of_each_value_emits(self, run: Run) -> None:
        outcome = run(HEADER + row("1") + row("2") + row("3", "eve") + row("4"), mapping=self.MAPPING)
        assert {"member.enrolled": 2, "purchase.completed": 4} == outcome.report.by_type
        enrolled = [event.id for event in outcome.events if event.type == "member.enrolled"]
        assert ["member.enrolled/ana", "member.enrolled/eve"] == enrolled

    def test_it_is_shifted_to_just_before(self, run: Run) -> None:
        first, second = run(HEADER + row(), mapping=self.MAPPING).events
        assert ("member.enrolled", 1.0) == (first.type, (second.time - first.time).total_seconds())

    def test_a_refused_row_does_not_use_it_up(self, run: Run) -> None:
        outcome = run(HEADER + row("1", total="-5") + row("2"), mapping=self.MAPPING)
        assert [(1, "purchase.completed.amount", "bad_data")] == outcome.refused
        assert ["member.enrolled", "purchase.completed"] == [event.type for event in outcome.events]

    def test_a_row_for_which_it_does_not_hold_does_not_use_it_up(self, run: Run) -> None:
        emit = [{"type": "member.enrolled", "once_per": "card", "when": "total > 1000"}]
        outcome = run(HEADER + row("1", total="1.00") + row("2", total="50.00"), mapping={"emit": emit})
        assert 1 == outcome.report.events

    def test_it_holds_across_files(self, run: Run) -> None:
        outcome = run(HEADER + row("1"), HEADER + row("2"), mapping=self.MAPPING)
        assert {"member.enrolled": 1, "purchase.completed": 2} == outcome.report.by_type


class TestTheSameAgain:
    def test_the_same_row_again_is_a_duplicate(self, run: Run) -> None:
        report = run(HEADER + row() + row() + row("r2")).report
        assert (3, 2, 0, 1) == (report.rows, report.events, report.refused, report.duplicates)

    def test_so_is_the_same_file_again(self, run: Run) -> None:
        once, twice = run(HEADER + row() + row("r2")), run(HEADER + row() + row("r2"), HEADER + row() + row("r2"))
        assert once.raw == twice.raw
        assert 2 == twice.report.duplicates

    def test_the_same_key_with_other_content_is_refused_and_the_first_kept(self, run: Run) -> None:
        outcome = run(HEADER + row(total="1.00") + row(total="2.00"))
        assert [(2, "receipt", "conflict")] == outcome.refused
        assert [100] == [event.data.amount for event in outcome.events]

    def test_a_refused_row_may_be_given_again_put_right(self, run: Run) -> None:
        outcome = run(HEADER + row(total="x") + row(total="2.00"))
        assert [200] == [event.data.amount for event in outcome.events]

    def test_an_index_on_disk_answers_as_one_in_memory_does(self, run: Run) -> None:
        rows = "".join(row(f"r{i % 40}", total=f"{1 + (i > 80)}.00") for i in range(120))
        small, large = run(HEADER + rows, in_memory=3), run(HEADER + rows)
        assert (large.raw, large.refusals) == (small.raw, small.refusals)
        assert (40, 41, 39) == (small.report.events, small.report.duplicates, small.report.refused)

    def test_an_own_id_that_two_rows_give_with_other_content_is_refused(self, run: Run) -> None:
        outcome = run(HEADER + row("r1") + row("r2"), mapping={"emit": [purchase(id="card")]})
        assert [(2, "purchase.completed.id", "conflict")] == outcome.refused

    def test_an_own_id_that_two_rows_give_with_the_same_content_is_written_once(self, run: Run) -> None:
        emit = [purchase(id="card", data={**DATA, "purchase_id": "=card"})]
        report = run(HEADER + row("r1") + row("r2"), mapping={"emit": emit}).report
        assert (1, 1, 0) == (report.events, report.duplicates, report.refused)

    def test_an_id_that_looks_like_a_derived_one_is_refused(self, run: Run) -> None:
        emit = [{"type": "member.enrolled", "once_per": "card"}, purchase(id="receipt")]
        outcome = run(HEADER + row("r1") + row("member.enrolled/eve") + row("r3", "eve"), mapping={"emit": emit})
        assert [(2, "purchase.completed.id", "bad_id")] == outcome.refused
        ids = [event.id for event in outcome.events]
        assert len(ids) == len(set(ids))

    def test_keys_of_several_columns_stay_different_whatever_they_hold(self, run: Run) -> None:
        outcome = run(
            HEADER + row("a/b", "c") + row("a", "b/c") + row("a%2Fb", "c"), mapping={"key": ["receipt", "card"]}
        )
        assert 3 == len({event.id for event in outcome.events})

    def test_a_row_is_taken_whole_or_not_at_all(self, run: Run) -> None:
        """The first event of the refused row could be made; it is not written all the same."""
        emit = [{"type": "member.enrolled"}, purchase()]
        outcome = run(HEADER + row("r1", total="-1"), mapping={"emit": emit})
        assert (b"", 1) == (outcome.raw, outcome.report.refused)


class TestValues:
    def test_rows_add_up(self, run: Run) -> None:
        report = run(HEADER + row() + row() + row("r2", total="x") + row("r3") + row("r3", total="7")).report
        assert report.rows == 2 + report.refused + report.duplicates

    def test_null_fields_and_items_whose_when_fails_are_left_out(self, run: Run) -> None:
        data = {
            "given_name": "=none",
            "attributes": {"shop": "=shop", "nothing": "=none"},
            "contact_points": [
                {"when": "total > 10000", "channel": "sms", "address": "+12125550100"},
                {"when": "total < 10000", "channel": "email", "address": "=card ~ '@example.com'"},
            ],
        }
        (event,) = run(HEADER + row(), mapping={"emit": [{"type": "member.enrolled", "data": data}]}).events
        assert (None, {"shop": "330"}) == (event.data.given_name, event.data.attributes)
        assert [("email", "ana@example.com")] == [(p.channel, p.address) for p in event.data.contact_points]

    def test_a_table_answers_and_what_it_lacks_is_refused(self, run: Run) -> None:
        mapping = {
            "let": {"who": {"of": "card", "table": {"ana": "gold"}}},
            "emit": [{"type": "tier.changed", "data": {"tier": "=who"}}],
        }
        outcome = run(HEADER + row() + row("r2", "eve"), mapping=mapping)
        assert ["gold"] == [event.data.tier for event in outcome.events]
        assert [(2, "who", "not_in_table")] == outcome.refused
        mapping["let"] = {"who": {"of": "card", "table": {"ana": "gold"}, "default": "none yet"}}
        assert ["gold", "none yet"] == [
            e.data.tier for e in run(HEADER + row() + row("r2", "eve"), mapping=mapping).events
        ]

    def test_let_may_build_upon_let(self, run: Run) -> None:
        mapping = {"let": {"a": "total + 1", "b": "a * 2"}, "emit": [purchase(data={**DATA, "amount": "=b"})]}
        assert 4000 == run(HEADER + row(), mapping=mapping).events[0].data.amount

    def test_an_expression_that_fails_refuses_its_row_alone(self, run: Run) -> None:
        mapping = {"emit": [purchase(data={**DATA, "amount": "=10000 // total"})]}
        outcome = run(HEADER + row(total="0.00") + row("r2", total="1.00"), mapping=mapping)
        assert [(1, "purchase.completed.amount", "expression_failed")] == outcome.refused
        assert [100] == [event.data.amount for event in outcome.events]

    def test_a_null_in_the_key_or_subject_is_refused(self, run: Run) -> None:
        columns = {
            "receipt": {"type": "text"}, "card": {"type": "text"}, "at": {"type": "datetime"},
            "total": {"type": "money", "currency": "USD"}, "shop": {"type": "text"},
        }  # fmt: skip
        outcome = run(HEADER + row(receipt="") + row(card=""), mapping={"columns": columns})
        assert [(1, "receipt", "no_key"), (2, "purchase.completed.subject", "bad_subject")] == outcome.refused

    def test_an_id_longer_than_an_envelope_takes_is_refused(self, run: Run) -> None:
        assert [(1, "purchase.completed.id", "bad_id")] == run(HEADER + row("r" * 201)).refused

    def test_history_marks_every_event(self, run: Run) -> None:
        assert [True] == [event.history for event in run(HEADER + row(), history=True).events]

    def test_values_stay_out_of_the_report(self, run: Run) -> None:
        outcome = run(HEADER + row("secret-1", "secret-2", total="secret-3") + row("r", "x" * 300 + "secret-4"))
        assert 2 == outcome.report.refused
        assert "secret" not in outcome.refusals


class TestMoments:
    COLUMNS: dict[str, Any] = {  # noqa: RUF012  # a constant of these tests
        "receipt": {"type": "text"}, "y": {"type": "int"}, "m": {"type": "int"}, "day": {"type": "date"},
    }  # fmt: skip

    @pytest.mark.parametrize(
        ("expected", "spec"),
        [
            ((2026, 3, 8, 5, 0, 0), "day"),
            ((2026, 3, 8, 16, 0, 0), {"of": "day", "clock": "12:00:00"}),
            ((2026, 3, 7, 5, 0, 0), {"of": "day", "shift": "-P1D"}),
            ((2026, 3, 8, 5, 1, 0), {"of": "day", "shift": "PT1M"}),
            ((2024, 2, 29, 17, 0, 0), {"year": "y", "month": "m", "day": "last", "clock": "12:00:00"}),
            ((2024, 2, 3, 5, 0, 0), {"year": "y", "month": "m", "day": "m + 1"}),
            ((2017, 1, 1, 5, 0, 0), {"at": "2017-01-01T00:00:00-05:00"}),
        ],
    )
    def test_an_instant_of_the_sources_zone(self, run: Run, expected: tuple[int, ...], spec: Any) -> None:
        mapping = {
            "columns": self.COLUMNS,
            "subject": "receipt",
            "emit": [{"type": "member.cancelled", "time": spec}],
        }
        (event,) = run("receipt,y,m,day\nr1,2024,2,2026-03-08\n", mapping=mapping).events
        assert datetime(*expected, tzinfo=UTC) == event.time  # type: ignore[misc]  # six numbers and a zone

    @pytest.mark.parametrize(
        ("reason", "spec", "row"),
        [
            ("bad_time", {"year": "y", "month": "m"}, "r1,2024,13,"),
            ("bad_time", {"year": "y", "month": "m", "day": 30}, "r1,2024,2,"),
            ("bad_time", {"year": "y", "month": "m", "day": "last"}, "r1,,2,"),
            ("bad_time", "day", "r1,2024,2,"),
            ("bad_time", {"of": "day", "shift": "-P2D"}, "r1,2024,2,0001-01-01"),
            ("skipped_hour", {"of": "day", "clock": "02:30:00"}, "r1,2024,2,2026-03-08"),
        ],
    )
    def test_a_day_that_is_none_is_refused(self, run: Run, reason: str, spec: Any, row: str) -> None:
        mapping = {"columns": self.COLUMNS, "subject": "receipt", "emit": [{"type": "member.cancelled", "time": spec}]}
        assert [(1, "member.cancelled.time", reason)] == run(f"receipt,y,m,day\n{row}\n", mapping=mapping).refused
