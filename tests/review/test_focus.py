"""Rows of FOCUS 1.2: columns, types and allowed values are those of the specification, and the money is that of the ledger."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import JsonValue

from openclaw.audit.reading import Reader
from openclaw.budget import Usage
from openclaw.review.focus import APPLICABLE, COLUMNS, MANDATORY, FocusRows
from openclaw.review.spending import spending
from tests.review.test_costs import think
from tests.support.story import Story, tell_on, told

# The columns of the cost and usage dataset, https://focus.finops.org/focus-specification/v1-2/.
_SPECIFIED = """
AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd
BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass ChargeDescription ChargeFrequency
ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName
CommitmentDiscountQuantity CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit
ContractedCost ContractedUnitPrice EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice PricingCategory
PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice PricingQuantity
PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName
ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags
"""
_MANDATORY = """
BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeClass
ChargeDescription ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity
PricingUnit ProviderName PublisherName ServiceCategory ServiceName
"""
SPECIFIED, MANDATORY_BY_SPECIFICATION = _SPECIFIED.split(), _MANDATORY.split()
DECIMALS = {name for name in COLUMNS if name.endswith(("Cost", "Quantity", "Tokens", "Calls"))}
MOMENTS = {name for name in COLUMNS if name.endswith(("Start", "End"))}
ALLOWED = {
    "BillingCurrency": {"USD"},
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {None, "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning", "Other"},
    "ServiceSubcategory": {"Generative AI", "Other (Other)"},
}


def found(story: Story) -> FocusRows:
    return FocusRows(spending(Reader(story.governance.gate._store)))


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        tell_on(story)
        yield story


def rows(story: Story) -> list[dict[str, JsonValue]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in found(story).rows()]


def test_the_columns_are_those_of_the_specification() -> None:
    assert len(SPECIFIED) == 57
    assert sorted(MANDATORY) == sorted(MANDATORY_BY_SPECIFICATION)
    assert set(MANDATORY) | set(APPLICABLE) <= set(SPECIFIED)
    assert [name for name in COLUMNS if name not in SPECIFIED] == [name for name in COLUMNS if name.startswith("x_")]
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_every_cell_is_of_the_type_that_its_column_has(story: Story) -> None:
    for row in rows(story):
        for name, value in row.items():
            if name in ALLOWED:
                assert value in ALLOWED[name], name
            elif name in DECIMALS:
                assert Decimal(str(value)) >= 0, name
            elif name in MOMENTS:
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)), name
            else:
                assert isinstance(value, str), name
                assert value, name
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
        assert isinstance(json.loads(str(row["Tags"])), dict)


def test_a_row_is_what_an_agent_used_of_a_model_on_a_day(story: Story) -> None:
    [refunds, triage] = rows(story)
    assert (refunds["SubAccountId"], refunds["BilledCost"]) == (
        "org/default/workflow/returns/agent/refunds",
        "0.000201",
    )
    assert (triage["ConsumedQuantity"], triage["x_InputTokens"], triage["SkuId"]) == (1001, 940, "acme/small-1")
    assert (triage["BillingPeriodStart"], triage["BillingPeriodEnd"]) == (
        "2026-11-01T00:00:00Z",
        "2026-12-01T00:00:00Z",
    )
    assert (triage["ChargePeriodStart"], triage["ChargePeriodEnd"]) == ("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z")


def test_an_agent_outside_of_a_workflow_has_no_tag_of_one(story: Story) -> None:
    inside = next(spending(Reader(story.governance.gate._store)))
    tags = [json.loads(str(row[COLUMNS.index("Tags")])) for row in FocusRows([replace(inside, workflow="")]).rows()]
    assert tags == [{"agent": inside.agent}]


def test_the_next_day_is_another_row(story: Story) -> None:
    story.clock.at += dt.timedelta(days=1)
    think(story, "small-1", Usage(tokens=3, input_tokens=3, microusd=1))
    assert [row["ChargePeriodStart"] for row in rows(story)][-1] == "2026-11-24T00:00:00Z"


def test_what_has_no_price_is_left_out_and_counted(story: Story) -> None:
    before = len(rows(story))
    think(story, "homemade", Usage(tokens=9, input_tokens=9))
    assert (found(story).left_out, len(rows(story))) == (1, before)


def test_the_money_is_that_of_the_ledger(story: Story) -> None:
    billed = sum(Decimal(str(row["BilledCost"])) for row in rows(story))
    assert billed * 1_000_000 == story.governance.ledger.balance("org/default").posted.microusd
