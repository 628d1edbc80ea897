"""One SQL database under audit, budget and approvals, so that one commit covers them."""

from openclaw.store.database import Job, Store, Transaction
from openclaw.store.statement import Row, Statement

__all__ = ["Job", "Row", "Statement", "Store", "Transaction"]
