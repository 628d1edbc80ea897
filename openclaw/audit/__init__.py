"""Remembers: the audit log, its tree, its checkpoints and proofs, and the masking of what it stores.

Nothing is imported before it is asked for: who reads a log needs neither what signs it nor what asks witnesses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "AuditLog": "openclaw.audit.log",
    "Checkpoint": "openclaw.audit.note",
    "ConsistencyProof": "openclaw.audit.proof",
    "Draft": "openclaw.audit.entry",
    "Entry": "openclaw.audit.entry",
    "EntryKind": "openclaw.audit.entry",
    "ExternalKey": "openclaw.audit.keys",
    "FilePlace": "openclaw.audit.places",
    "Forgotten": "openclaw.audit.erasure",
    "Hold": "openclaw.audit.holds",
    "Line": "openclaw.audit.entry",
    "MINIMUM_AGE": "openclaw.audit.retention",
    "ObjectPlace": "openclaw.audit.places",
    "Place": "openclaw.audit.places",
    "PlaceState": "openclaw.audit.keeper",
    "Privacy": "openclaw.audit.privacy",
    "Problem": "openclaw.audit.report",
    "Proof": "openclaw.audit.proof",
    "PrunePlan": "openclaw.audit.retention",
    "Rotation": "openclaw.audit.rotation",
    "Seal": "openclaw.audit.veil",
    "Signer": "openclaw.audit.keys",
    "SigningKey": "openclaw.audit.keys",
    "Veil": "openclaw.audit.veil",
    "Verifier": "openclaw.audit.note",
    "VerifyReport": "openclaw.audit.report",
    "Where": "openclaw.audit.opening",
    "Witness": "openclaw.audit.witness",
    "key_files": "openclaw.audit.opening",
    "newest": "openclaw.audit.places",
    "open_key": "openclaw.audit.opening",
    "open_place": "openclaw.audit.places",
    "open_places": "openclaw.audit.opening",
    "read_proof": "openclaw.audit.proof",
    "take_result": "openclaw.audit.veil",
}

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


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `openclaw.audit` has no attribute `{name}`")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
