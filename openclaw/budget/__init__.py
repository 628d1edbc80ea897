"""Limits: accounts, reservations, windows and prices."""

from openclaw.budget.amount import UNITS, Budget, Unit, Usage, Window
from openclaw.budget.ledger import CALL_SECONDS, Balance, Fit, Ledger, Reservation
from openclaw.budget.prices import Price, Prices

__all__ = [
    "CALL_SECONDS",
    "UNITS",
    "Balance",
    "Budget",
    "Fit",
    "Ledger",
    "Price",
    "Prices",
    "Reservation",
    "Unit",
    "Usage",
    "Window",
]
