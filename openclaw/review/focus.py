"""What was spent as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification (https://focus.finops.org/, CC BY 4.0).

A row is what one agent used of one model on one day in UTC under the same labels, or what one of its tools was charged. All
mandatory columns of the cost and usage dataset are there, the conditional and recommended ones that apply, and columns of our
own, whose names begin with ``x_`` as the specification demands. Money is what the ledger has posted: by list prices or one's
own, before any invoice, so that billed, effective, contracted and list cost are one amount. Usage without a known price has no
cost to be written down; it is left out, and counted.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydantic import JsonValue

from openclaw.budget.amount import opens_at
from openclaw.review.showback import dollars
from openclaw.review.spending import Spent

VERSION = "1.2"

MANDATORY = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
    *(
        "BillingPeriodStart",
        "ChargeCategory",
        "ChargeClass",
        "ChargeDescription",
        "ChargePeriodEnd",
        "ChargePeriodStart",
    ),
    *("ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
)
"""The columns of feature level Mandatory."""

APPLICABLE = (
    *("ChargeFrequency", "ConsumedQuantity", "ConsumedUnit", "PricingCategory", "ResourceId", "ResourceName"),
    *("ResourceType", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId", "SubAccountName"),
    *("SubAccountType", "Tags"),
)
"""The other columns that model calls and tools have something to say in."""

COLUMNS = (*sorted((*MANDATORY, *APPLICABLE)), "x_EstimatedCalls", "x_InputTokens", "x_OutputTokens")

NO_PROVIDER = "unknown"
"""The provider of a model that does not say: FOCUS has no row without one."""


class _Key(NamedTuple):
    day: dt.datetime
    org: str
    workflow: str
    agent: str
    kind: str
    provider: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()


class FocusRows:
    """Adds up what was spent; memory grows with days, agents, models and labels. ``left_out`` counts calls without a price."""

    def __init__(self, found: Iterable[Spent]) -> None:
        self.left_out = 0
        self._sums: dict[_Key, list[int]] = {}
        for spent in found:
            if not spent.priced:
                self.left_out += not spent.again
            elif spent.kind == "model" or spent.used.get("microusd"):
                self._add(spent)

    def _add(self, spent: Spent) -> None:
        day = opens_at("day", spent.at) or spent.at
        labels = tuple(sorted(spent.labels.items()))
        key = _Key(day, spent.org, spent.workflow, spent.agent, spent.kind, spent.provider, spent.name, labels)
        used = spent.used
        quantity = used.get("tokens", 0) if spent.kind == "model" else used.get("calls", 0)
        amounts = (used.get("microusd", 0), quantity, used.get("input_tokens", 0), used.get("output_tokens", 0))
        sums = self._sums.setdefault(key, [0, 0, 0, 0, 0])
        for at, amount in enumerate((*amounts, int(spent.estimated))):
            sums[at] += amount

    def rows(self) -> Iterator[list[JsonValue]]:
        """The rows, by day; an empty cell is null."""
        for key in sorted(self._sums):
            row = _row(key, *self._sums[key])
            yield [row.get(column) for column in COLUMNS]


def _row(key: _Key, microusd: int, quantity: int, given: int, produced: int, estimated: int) -> dict[str, JsonValue]:
    month = opens_at("month", key.day) or key.day
    is_model = key.kind == "model"
    issuer = key.provider or (NO_PROVIDER if is_model else key.org)
    unit = "Tokens" if is_model else "Calls"
    sku = f"{key.provider}/{key.name}" if key.provider else key.name
    row: dict[str, JsonValue] = dict.fromkeys(
        ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), dollars(microusd)
    )
    row |= dict.fromkeys(("BillingAccountId", "BillingAccountName"), key.org)
    row |= dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceName"), issuer)
    row |= dict.fromkeys(("ResourceId", "SkuId", "SkuPriceId"), sku)
    row |= {
        "BillingCurrency": "USD",
        "BillingPeriodStart": _moment(month),
        "BillingPeriodEnd": _moment(opens_at("month", month + dt.timedelta(days=32)) or month),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{unit} of {'model' if is_model else 'tool'} {key.name} used by agent {key.agent}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _moment(key.day),
        "ChargePeriodEnd": _moment(key.day + dt.timedelta(days=1)),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ResourceName": key.name,
        "ResourceType": "Model" if is_model else "Tool",
        "ServiceCategory": "AI and Machine Learning" if is_model else "Other",
        "ServiceSubcategory": "Generative AI" if is_model else "Other (Other)",
        "SkuMeter": unit,
        "SubAccountId": _account(key),
        "SubAccountName": key.agent,
        "SubAccountType": "Agent",
        "Tags": json.dumps(_tags(key), sort_keys=True, ensure_ascii=False),
        "x_EstimatedCalls": estimated,
    }
    return row | ({"x_InputTokens": given, "x_OutputTokens": produced} if is_model else {})


def _tags(key: _Key) -> dict[str, str]:
    """Labels, agent and workflow: those that there are."""
    named = (("agent", key.agent), ("workflow", key.workflow))
    return {**dict(key.labels), **{tag: value for tag, value in named if value}}


def _account(key: _Key) -> str:
    parts = (("org", key.org), ("workflow", key.workflow), ("agent", key.agent))
    return "/".join(f"{kind}/{name}" for kind, name in parts if name)


def _moment(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["APPLICABLE", "COLUMNS", "MANDATORY", "NO_PROVIDER", "VERSION", "FocusRows"]
