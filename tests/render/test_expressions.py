"""Expressions: the language of journeys' conditions and of ingest's mappings."""

from __future__ import annotations

import pytest

from orchestrator.events.types import PurchaseCompleted
from orchestrator.render.contract import RenderError
from orchestrator.render.sandbox import Rejected, compile_expression

DATA: dict[str, object] = {
    "event": PurchaseCompleted(purchase_id="p", amount=500, currency="EUR"),
    "member": {"status": "enrolled", "attributes": {"age": 42}, "tier": ""},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("event.amount >= 500", True),
        ("event.amount > 500", False),
        ("event.amount >= 500 and member.status == 'enrolled'", True),
        ("member.attributes.age // 10 * 10", 40),
        ("event.store", None),
        ("event.store or 'web'", "web"),
        ("member.attributes.shop|default('none')", "none"),
        ("member.attributes.shop is defined", False),
        ("event.currency in ['EUR', 'COP']", True),
        ("event.currency not in ('EUR', 'COP')", False),
        ("[event.amount, 1]|sum", 501),
        ("'a' if member.tier else 'b'", "b"),
        ("member.status|bucket(10, 'x') < 10", True),
        ("1 if false", ""),
    ],
)
def test_value(source: str, value: object) -> None:
    assert value == compile_expression(source)(DATA)


def test_it_keeps_nothing_of_one_call_for_the_next() -> None:
    expression = compile_expression("x + 1")
    assert [2, 3] == [expression({"x": 1}), expression({"x": 2})]


def test_it_lists_the_fields_it_reads() -> None:
    expression = compile_expression("event.amount > 5 and member['tier'] in member.attributes.tiers")
    assert {"event.amount", "member.tier", "member.attributes.tiers"} == expression.fields


def test_a_missing_field_is_an_error_that_names_expression_and_field() -> None:
    with pytest.raises(RenderError, match=r"expression 'member.zzz == 1': member.zzz is not known here"):
        compile_expression("member.zzz == 1")(DATA)


def test_a_missing_field_is_the_value_given_for_it() -> None:
    assert compile_expression("member.zzz > 1", missing=False)(DATA) is False


def test_an_error_of_another_kind_is_not_hidden_by_missing() -> None:
    with pytest.raises(RenderError):
        compile_expression("event.amount > 'x'", missing=False)(DATA)


@pytest.mark.parametrize(
    "source", ["", "a b", "1 +", "{{ a }}", "a()", "a.__class__", "x|nothing", "(" * 500, "a" * 2_001, "a if"]
)
def test_what_is_no_expression_is_rejected_when_compiled(source: str) -> None:
    with pytest.raises(Rejected):
        compile_expression(source)


@pytest.mark.parametrize("source", ["event.amount < 'a'", "event['amo' ~ 'unt' ~ member.status]", "-member", "1 / 0"])
def test_what_goes_wrong_at_the_call_is_a_render_error_without_values(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        compile_expression(source)(DATA)
    assert "enrolled" not in str(caught.value)
