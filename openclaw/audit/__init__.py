"""Remembers: the audit log, its tree, its checkpoints and proofs, and the masking of what it stores."""

from openclaw.audit.entry import Draft, Entry, EntryKind
from openclaw.audit.log import AuditLog, Problem, Proof, VerifyReport
from openclaw.audit.note import Checkpoint, Signer, Verifier

__all__ = [
    "AuditLog",
    "Checkpoint",
    "Draft",
    "Entry",
    "EntryKind",
    "Problem",
    "Proof",
    "Signer",
    "Verifier",
    "VerifyReport",
]
