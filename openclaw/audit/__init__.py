"""Remembers: the audit log, its tree, its checkpoints and proofs, and the masking of what it stores."""

from openclaw.audit.entry import Draft, Entry, EntryKind
from openclaw.audit.holds import Hold
from openclaw.audit.keeper import PlaceState
from openclaw.audit.keys import ExternalKey, Signer, SigningKey
from openclaw.audit.log import AuditLog
from openclaw.audit.note import Checkpoint, Verifier
from openclaw.audit.opening import Where, key_files, open_key, open_places
from openclaw.audit.places import FilePlace, ObjectPlace, Place, newest, open_place
from openclaw.audit.proof import ConsistencyProof, Proof, read_proof
from openclaw.audit.report import Problem, VerifyReport
from openclaw.audit.retention import MINIMUM_AGE, PrunePlan
from openclaw.audit.rotation import Rotation
from openclaw.audit.witness import Witness

__all__ = [
    "MINIMUM_AGE",
    "AuditLog",
    "Checkpoint",
    "ConsistencyProof",
    "Draft",
    "Entry",
    "EntryKind",
    "ExternalKey",
    "FilePlace",
    "Hold",
    "ObjectPlace",
    "Place",
    "PlaceState",
    "Problem",
    "Proof",
    "PrunePlan",
    "Rotation",
    "Signer",
    "SigningKey",
    "Verifier",
    "VerifyReport",
    "Where",
    "Witness",
    "key_files",
    "newest",
    "open_key",
    "open_place",
    "open_places",
    "read_proof",
]
