"""Forgetting a person: the data key goes, the ciphertexts and the tree stay, so every proof holds as before."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from openclaw.audit.entry import Draft
from openclaw.audit.privacy import Privacy
from openclaw.audit.traces import overwrite_deleted, scrub
from openclaw.errors import AuditError
from openclaw.store import Store, Transaction
from openclaw.store.tables import SubjectRow


class Forgotten(BaseModel):
    """What ``forget`` did.

    Attributes:
        seq: the entry that records it.
        subject: the keyed digest under which the person stands in the log.
        remains: where a copy of the destroyed key may still lie, for somebody who also has the signing key.
    """

    model_config = ConfigDict(frozen=True)

    seq: int
    subject: str
    remains: tuple[str, ...] = ()


def forget(
    store: Store, privacy: Privacy, record: Callable[[Transaction, Draft], int], who: str, *, by: str
) -> Forgotten:
    """Destroy the data key of a person, and record that in the same commit.

    Raises:
        AuditError: nothing is sealed for that person, or nobody is named.
    """
    if not by.strip():
        raise AuditError("forgetting needs a name", hint="say who does it: `by=`, or `--by NAME`")

    def unit(transaction: Transaction) -> Forgotten:
        overwrite_deleted(transaction)
        subject, key = privacy.destroy_key(transaction, who)
        draft = Draft(kind="erasure", body={"subject": subject, "key": key, "by": privacy.text(by)})
        return Forgotten(seq=record(transaction, draft), subject=subject)

    forgotten = store.run(unit)
    return forgotten.model_copy(update={"remains": scrub(store, str(SubjectRow.__tablename__))})


__all__ = ["Forgotten", "forget"]
