"""Limits: accounts, reservations, windows and prices."""

from openclaw.budget.amount import UNITS, Budget, Unit, Usage, Window
from openclaw.budget.ledger import Balance, Ledger, Reservation

__all__ = ["UNITS", "Balance", "Budget", "Ledger", "Reservation", "Unit", "Usage", "Window"]
