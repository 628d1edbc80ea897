"""How one entry stands in the tree, as far as it can be told now, by reading alone: nothing is signed for it.

``verify`` reads the whole log; this reads one entry, a path of hashes and the newest checkpoint.
"""

from __future__ import annotations

from typing import Literal, cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from openclaw.audit.entry import ROW_COLUMNS, rows_bytes
from openclaw.audit.log import AuditLog
from openclaw.audit.merkle import inclusion_proof, leaf_hash, root_from_inclusion
from openclaw.audit.notary import noted
from openclaw.audit.note import Checkpoint
from openclaw.audit.rotation import KeyChain
from openclaw.audit.rows import ENTRY, IS_CHECKPOINT, subtree
from openclaw.errors import AuditError, OpenClawError, VerificationError
from openclaw.store import Store


class Standing(BaseModel):
    """How an entry stands.

    ``verdict`` is ``holds`` (its hash fits, and leads to the root of a checkpoint whose signature was checked), ``unsigned``
    (it does, and nobody checked the signature), ``pending`` (no checkpoint covers it yet), or ``broken``; ``why`` says why
    it is no better than that. ``checkpoint`` is the entry of the checkpoint, ``size`` its number of entries.
    """

    model_config = ConfigDict(frozen=True)

    seq: int
    verdict: Literal["holds", "unsigned", "pending", "broken"]
    why: str = ""
    checkpoint: int | None = None
    size: int | None = None
    path: int | None = None

    @property
    def told(self) -> str:
        """In one line."""
        if self.checkpoint is None:
            return self.why
        under = f"{self.path} hashes lead to the root of checkpoint {self.checkpoint}, of {self.size:,} entries"
        return f"{under}, {self.why}" if self.why else under


def standing(store: Store, log: AuditLog, seq: int) -> Standing:
    """How entry ``seq`` stands.

    Raises:
        AuditError: there is no such entry.
    """
    log.entry(seq)  # says so, if there is none
    with store.read() as connection:
        columns = (ENTRY.c[name] for name in ROW_COLUMNS)
        row = connection.execute(sa.select(*columns).where(ENTRY.c.seq == seq)).one()
        leaf = leaf_hash(rows_bytes([cast("tuple[object, ...]", tuple(row))])[0])
        if leaf != bytes(row[-1]):
            return Standing(seq=seq, verdict="broken", why="the entry was changed: it does not fit its leaf hash")
        query = sa.select(ENTRY.c.seq, ENTRY.c.body).where(IS_CHECKPOINT)
        newest = connection.execute(query.order_by(ENTRY.c.seq.desc()).limit(1)).one_or_none()
        made = noted(newest.body) if newest is not None else None
        if newest is None or made is None or made.size < seq:
            return Standing(seq=seq, verdict="pending", why="its hash fits; no checkpoint covers it yet")
        known = {"seq": seq, "checkpoint": newest.seq, "size": made.size}
        try:
            path = inclusion_proof(seq - 1, made.size, lambda level, index: subtree(connection, level, index))
            root = root_from_inclusion(leaf, seq - 1, made.size, path)
        except (AuditError, VerificationError) as error:
            return Standing(seq=seq, verdict="broken", why=error.message)
    known["path"] = len(path)
    if root != made.root:
        return Standing.model_validate(
            {**known, "verdict": "broken", "why": "which is another one: the log was changed"}
        )
    why = _unsigned(log, made)
    return Standing.model_validate({**known, "verdict": "unsigned" if why else "holds", "why": why})


def _unsigned(log: AuditLog, made: Checkpoint) -> str:
    """Why the signature of a checkpoint is not known to be good; empty where it is."""
    try:
        KeyChain(log.verifier, log.rotations()).open_checkpoint(made.note)
    except VerificationError as error:
        return f"whose signature does not hold: {error.message}"
    except OpenClawError:
        return "whose signature was not checked: the log's key is not here"
    return ""


__all__ = ["Standing", "standing"]
