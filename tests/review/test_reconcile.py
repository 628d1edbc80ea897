"""An invoice against the log: what each shape says, what is the same, and what differs and how."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from openclaw.budget import Unit
from openclaw.errors import ConfigurationError
from openclaw.review.invoice import Invoice, read_invoice
from openclaw.review.reconcile import Reconciliation, reconcile
from openclaw.review.spending import Spent

DAY = dt.date(2026, 11, 23)
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)

OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,\
input_tokens,output_tokens,input_cached_tokens
1795392000,1795478400,2026-11-23T00:00:00+00:00,2026-11-24T00:00:00+00:00,p,2,,,gpt-4o-2024-08-06,false,default,1000,100,600
1795392000,1795478400,2026-11-23T00:00:00+00:00,2026-11-24T00:00:00+00:00,q,1,,,gpt-4o-2024-08-06,false,default,500,50,0
1795478400,1795564800,2026-11-24T00:00:00+00:00,2026-11-25T00:00:00+00:00,,,,,,,,,,
"""
OPENAI_COSTS = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id
1795392000,1795478400,2026-11-23T00:00:00+00:00,2026-11-24T00:00:00+00:00,0.0035,usd,"gpt-4o-2024-08-06, input",p,o
1795392000,1795478400,2026-11-23T00:00:00+00:00,2026-11-24T00:00:00+00:00,0.0015,usd,"gpt-4o-2024-08-06, output",p,o
1795478400,1795564800,2026-11-24T00:00:00+00:00,2026-11-25T00:00:00+00:00,,,,,
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,\
web_search_count
2026-11-23,claude-sonnet-4-20250514,key,Default,standard,≤ 200k,900,100,0,500,150,0
"""
ANTHROPIC_COSTS = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed
2026-11-23,Claude Sonnet 4.5,Default,key,message,≤ 200k,input_no_cache,0.90,0.90,token,not_available,
2026-11-23,Claude Sonnet 4.5,Default,key,message,≤ 200k,input_cache_read,0.10,0.10,token,not_available,
2026-11-23,Claude Sonnet 4.5,Default,key,message,≤ 200k,output,0.24,0.24,token,not_available,
2026-11-23,Claude 3.5 Haiku 2024-10-22,Default,key,message,≤ 200k,output,0.00,0.00,token,not_available,
2026-11-23,,Default,key,,,,0.03,0.03,web_search,not_available,
"""
FOCUS = """\
BilledCost,BillingCurrency,ChargePeriodStart,ConsumedQuantity,ConsumedUnit,ProviderName,ResourceId,ResourceName,SkuMeter
0.0035,USD,2026-11-23T00:00:00Z,1500,Tokens,OpenAI,,gpt-4o,Input Tokens
0.0015,USD,2026-11-23T00:00:00Z,150,Tokens,OpenAI,,gpt-4o,Output Tokens
-0.001,USD,2026-11-23T00:00:00Z,,,OpenAI,,gpt-4o,Credit
"""
SIMPLE = "date,model,usd\n2026-11-23,gpt-4o,0.005\n"


def read(tmp_path: Path, text: str) -> Invoice:
    file = tmp_path / "invoice.csv"
    file.write_text(text)
    return read_invoice(file)


def spent(name: str = "gpt-4o", provider: str = "openai", at: dt.datetime = NOON, **used: int) -> Spent:
    amounts: dict[Unit, int] = dict(used)  # type: ignore[arg-type]
    return Spent(
        seq=1,
        at=at,
        run="",
        org="default",
        workflow="",
        agent="writer",
        kind="model",
        provider=provider,
        name=name,
        status="done",
        approved=False,
        estimated=False,
        priced="microusd" in used,
        again=False,
        used=amounts,
    )


WHOLE = {"tokens": 1650, "input_tokens": 1500, "output_tokens": 150}


@pytest.mark.parametrize(
    ("text", "shape", "units"),
    [
        (OPENAI_USAGE, "openai usage", {"input_tokens": 1500, "output_tokens": 150}),
        (OPENAI_COSTS, "openai costs", {"microusd": 5000}),
        (FOCUS, "focus", {"tokens": 1650, "microusd": 4000}),
        (SIMPLE, "simple", {"microusd": 5000}),
        ("﻿" + SIMPLE, "simple", {"microusd": 5000}),
    ],
    ids=["openai usage", "openai costs", "focus", "simple", "with a mark of Unicode"],
)
def test_every_shape_is_told_by_its_columns_and_agrees(
    text: str, shape: str, units: dict[str, int], tmp_path: Path
) -> None:
    invoice = read(tmp_path, text)
    assert invoice.shape == shape
    [amounts] = invoice.cells.values()
    assert amounts == units
    made = reconcile(invoice, [spent(**WHOLE, microusd=units.get("microusd", 1))])
    assert (made.agrees, made.cells, made.since, made.until) == (True, 1, DAY, DAY)


def test_what_anthropic_has_cached_is_input(tmp_path: Path) -> None:
    made = reconcile(read(tmp_path, ANTHROPIC_USAGE), [spent("claude-sonnet-4", "anthropic", **WHOLE)])
    assert (made.shape, made.invoice, made.agrees) == (
        "anthropic usage",
        {"input_tokens": 1500, "output_tokens": 150},
        True,
    )


def test_what_anthropic_says_of_costs_is_under_titles_and_rounded_to_cents(tmp_path: Path) -> None:
    invoice = read(tmp_path, ANTHROPIC_COSTS)
    assert (invoice.shape, invoice.units, invoice.providers) == ("anthropic costs", ("microusd",), {"anthropic"})
    sonnet = (
        spent("claude-sonnet-4-5-20250929", "anthropic", microusd=1_200_000),
        spent("claude-sonnet-4-5", "anthropic", microusd=35_400),  # two versions of it, which the invoice has as one
    )
    haiku = spent("claude-3-5-haiku-20241022", "anthropic", microusd=4_000)
    made = reconcile(invoice, [*sonnet, haiku])
    assert [(it.kind, it.model, it.over) for it in made.differences] == [("only in the invoice", "web_search", 30_000)]
    # 1.24 in three lines may be anything from 1.225 to 1.255.
    made = reconcile(invoice, [sonnet[0], spent("claude-sonnet-4-5", "anthropic", microusd=24_000), haiku])
    assert [(it.model, it.over) for it in made.differences] == [("claude-sonnet-4-5", 16_000), ("web_search", 30_000)]


def test_a_title_that_nobody_could_know_is_given_its_name(tmp_path: Path) -> None:
    invoice = read(tmp_path, "usage_date_utc,model,cost_usd\n2026-11-23,Claude Next,0.004\n")
    used = spent("claude-next-preview-2026", "anthropic", microusd=4_000)
    assert len(reconcile(invoice, [used]).differences) == 2
    assert reconcile(invoice, [used], aliases={"Claude Next": "claude-next-preview-2026"}).agrees


def differing(text: str, tmp_path: Path, *found: Spent, **how: object) -> list[tuple[str, str, str, int]]:
    made: Reconciliation = reconcile(read(tmp_path, text), found, **how)  # type: ignore[arg-type]
    assert made.agrees is (not made.differences)
    return [(it.kind, it.model, it.unit, it.over) for it in made.differences]


def test_what_differs_is_named_with_by_how_much(tmp_path: Path) -> None:
    used = spent(**(WHOLE | {"output_tokens": 140}))
    assert differing(OPENAI_USAGE, tmp_path, used) == [("differs", "gpt-4o", "output_tokens", 10)]


def test_what_was_spent_outside_of_the_gate_is_only_in_the_invoice(tmp_path: Path) -> None:
    assert differing(SIMPLE, tmp_path) == [("only in the invoice", "gpt-4o", "microusd", 5000)]


def test_what_the_provider_does_not_know_of_is_only_in_the_log(tmp_path: Path) -> None:
    extra = spent("gpt-5", tokens=9, microusd=90)
    found = differing(SIMPLE, tmp_path, spent(microusd=5000), extra)
    assert found == [("only in the log", "gpt-5", "microusd", -90)]


def test_other_providers_and_other_days_are_not_missed(tmp_path: Path) -> None:
    others = (
        spent("claude-sonnet-4", "anthropic", tokens=9, microusd=90),
        spent(at=NOON + dt.timedelta(days=1), microusd=90),
        spent(at=NOON - dt.timedelta(days=1), microusd=90),
    )
    assert differing(OPENAI_COSTS, tmp_path, spent(microusd=5000), *others) == []
    assert differing(SIMPLE, tmp_path, spent(microusd=5000), *others, provider="openai") == []
    # A file that names no provider is taken for all of them.
    assert differing(SIMPLE, tmp_path, spent(microusd=5000), *others) == [
        ("only in the log", "claude-sonnet-4", "microusd", -90)
    ]


def test_a_provider_that_was_said_is_the_only_one(tmp_path: Path) -> None:
    found = differing(SIMPLE, tmp_path, spent(microusd=5000), provider="azure")
    assert found == [("only in the invoice", "gpt-4o", "microusd", 5000)]


def test_a_tolerance_is_a_part_of_what_the_invoice_says(tmp_path: Path) -> None:
    used = spent(**(WHOLE | {"input_tokens": 1485}))  # 1 % less
    assert differing(OPENAI_USAGE, tmp_path, used, tolerance=Decimal("0.01")) == []
    assert len(differing(OPENAI_USAGE, tmp_path, used, tolerance=Decimal("0.0099"))) == 1


def test_a_micro_usd_for_each_call_is_rounding(tmp_path: Path) -> None:
    assert differing(SIMPLE, tmp_path, spent(microusd=2501), spent(microusd=2501)) == []
    assert len(differing(SIMPLE, tmp_path, spent(microusd=2501), spent(microusd=2502))) == 1


def test_another_name_of_a_model_can_be_said(tmp_path: Path) -> None:
    text = SIMPLE.replace("gpt-4o", "our-deployment")
    assert len(differing(text, tmp_path, spent(microusd=5000))) == 2
    assert differing(text, tmp_path, spent(microusd=5000), aliases={"our-deployment": "gpt-4o"}) == []


def test_a_version_that_the_log_has_itself_stays_what_it_is(tmp_path: Path) -> None:
    text = SIMPLE.replace("gpt-4o", "gpt-4o-2024-08-06")
    version = spent("gpt-4o-2024-08-06", microusd=5000)
    assert differing(text, tmp_path, version) == []
    assert differing(text, tmp_path, version, spent(microusd=7)) == [("only in the log", "gpt-4o", "microusd", -7)]


def test_calls_without_a_price_are_named_where_money_differs(tmp_path: Path) -> None:
    made = reconcile(read(tmp_path, SIMPLE), [spent(tokens=1650)])
    [it] = made.differences
    assert (it.unpriced, it.over) == (1, 5000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "are of no invoice that is known"),
        ("date,model\n2026-11-23,gpt-4o\n", "are of no invoice that is known"),
        ("a,b\n1,2\n", "are of no invoice that is known"),
        ("date,model,usd\n", "says nothing of any model"),
        ("date,model,usd,usd\n", "a column is there twice"),
        ("date,model,usd\n2026-11-23,gpt-4o\n", r"csv:2: 2 cells, expected 3"),
        ("date,model,usd\n\n2026-11-23,gpt-4o,much\n", r"csv:3: `much` in `usd` is no number"),
        ("date,model,usd\n2026-11-23,gpt-4o,NaN\n", "`NaN` in `usd` is no amount"),
        ("date,model,usd\n2026-11-23,gpt-4o,1e99\n", "`1e99` in `usd` is no amount"),
        ("date,model,usd\nyesterday,gpt-4o,1\n", "`yesterday` in `date` is no date"),
        ("date,model,usd\n0001-01-01,gpt-4o,1\n", "`0001-01-01` in `date` is no date of an invoice"),
        ("date,model,usd\n99999999999999999999,gpt-4o,1\n", "in `date` is no date"),
        ("date,model,usd\n2026-11-23,,1\n", "no model in `model`"),
        (FOCUS.replace("0.0035,USD", "0.0035,EUR"), "`EUR` is not USD"),
        (OPENAI_USAGE.replace("gpt-4o-2024-08-06", ""), "usage of no model"),
        (OPENAI_COSTS.replace('"gpt-4o-2024-08-06, input"', ""), "costs of no line item"),
        ('date,model,usd\n2026-11-23,"gpt-4o,1\n', "is not CSV in UTF-8"),
    ],
)
def test_a_file_that_makes_no_sense_says_where(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read(tmp_path, text)


def test_what_is_not_text_or_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "invoice.csv").write_bytes(b"date,model,usd\n\xff\xfe,x,1\n")
    with pytest.raises(ConfigurationError, match="is not CSV in UTF-8"):
        read_invoice(tmp_path / "invoice.csv")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_invoice(tmp_path)
