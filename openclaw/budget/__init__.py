"""Limits: accounts, reservations, windows and prices."""

from openclaw.budget.amount import UNITS, Budget, Unit, Usage, Window
from openclaw.budget.energy import Energy
from openclaw.budget.ledger import Balance, Fit, Ledger, Reservation
from openclaw.budget.prices import Price, Prices

__all__ = [
    "UNITS",
    "Balance",
    "Budget",
    "Energy",
    "Fit",
    "Ledger",
    "Price",
    "Prices",
    "Reservation",
    "Unit",
    "Usage",
    "Window",
]
