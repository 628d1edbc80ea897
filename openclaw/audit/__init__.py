"""Remembers: the audit log, its tree, its checkpoints and proofs, and the masking of what it stores."""

from openclaw.audit.entry import Draft, Entry, EntryKind, Line
from openclaw.audit.erasure import Forgotten
from openclaw.audit.holds import Hold
from openclaw.audit.keeper import PlaceState
from openclaw.audit.keys import ExternalKey, Signer, SigningKey
from openclaw.audit.log import AuditLog
from openclaw.audit.note import Checkpoint, Verifier
from openclaw.audit.opening import Where, key_files, open_key, open_places
from openclaw.audit.places import FilePlace, ObjectPlace, Place, newest, open_place
from openclaw.audit.privacy import Privacy
from openclaw.audit.proof import ConsistencyProof, Proof, read_proof
from openclaw.audit.report import Problem, VerifyReport
from openclaw.audit.retention import MINIMUM_AGE, PrunePlan
from openclaw.audit.rotation import Rotation
from openclaw.audit.veil import Seal, Veil, take_result
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
    "Forgotten",
    "Hold",
    "Line",
    "ObjectPlace",
    "Place",
    "PlaceState",
    "Privacy",
    "Problem",
    "Proof",
    "PrunePlan",
    "Rotation",
    "Seal",
    "Signer",
    "SigningKey",
    "Veil",
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
    "take_result",
]
