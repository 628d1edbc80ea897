"""Limits: accounts, reservations, windows and prices."""

from openclaw.budget.account import Balance, Reservation
from openclaw.budget.amount import UNITS, Budget, Unit, Usage, Window
from openclaw.budget.energy import Energy
from openclaw.budget.ledger import CALL_SECONDS, Also, Fit, Ledger
from openclaw.budget.prices import Price, Prices
from openclaw.budget.soft import STAGES, Soft, Stage, Use

__all__ = [
    "CALL_SECONDS",
    "STAGES",
    "UNITS",
    "Also",
    "Balance",
    "Budget",
    "Energy",
    "Fit",
    "Ledger",
    "Price",
    "Prices",
    "Reservation",
    "Soft",
    "Stage",
    "Unit",
    "Usage",
    "Use",
    "Window",
]
