"""One SQL database under audit, budget and approvals, so that one commit covers them."""

from openclaw.store.database import Job, Store, Transaction

__all__ = ["Job", "Store", "Transaction"]
