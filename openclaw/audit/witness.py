"""A witness: a service of somebody else's that cosigns a checkpoint once it has seen that the log only grew (C2SP tlog-witness).

It remembers the largest checkpoint that it has cosigned, and cosigns no other history. So it is a place outside the database
that cannot be rolled back: a log that was cut or swapped for an older copy is behind it, a rewritten one contradicts it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openclaw.audit.note import COSIGNATURE, NOTE_BYTES_MAX, Checkpoint, Verifier, b64, with_cosignatures
from openclaw.audit.places import Prove
from openclaw.errors import AuditError, VerificationError

if TYPE_CHECKING:
    import requests

SECONDS_MAX = 10.0
"""How long one exchange with a witness may take, all in all."""

CONFLICTS_MAX = 3
"""How often an answer "you are not where I am" is followed: other processes submit checkpoints of the same log."""

_SCHEME = "witness+"
_SIZE_TYPE = "text/x.tlog.size"
_FORM = "expected `witness+https://host/prefix#NAME+ID+KEY`, with the key of the witness's cosignatures"


class WitnessError(AuditError):
    """A witness cannot be asked, or contradicts the log.

    Attributes:
        kind: ``ahead``: it has seen more entries than the log has; ``fork``: it has seen other entries; ``failed``: it
            could not be asked, or refused for a reason of its own.
    """

    def __init__(self, message: str, *, kind: Literal["ahead", "fork", "failed"], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    kind: str
    text: str


class Witness:
    """One witness.

    Args:
        url: its submission prefix, ``https://…``.
        verifier: the key of its cosignatures (a C2SP vkey of type 4).
        prove: gives consistency proofs of the log, and refuses a size that the log has not reached.
    """

    def __init__(self, url: str, verifier: Verifier, prove: Prove | None = None) -> None:
        if verifier.algorithm != COSIGNATURE:
            raise AuditError("the witness's key is not one for cosignatures (type 4)", hint=_FORM)
        self.url = url.rstrip("/")
        self.verifier = verifier
        self._prove = prove
        self._seen = 0  # what the witness has cosigned, as far as this process knows
        self._cosigned: Checkpoint | None = None
        self._lock = threading.Lock()
        import requests  # late: whoever reads a log asks no witness, and should not wait for a client of HTTP
        from requests.adapters import HTTPAdapter

        self._session = requests.Session()
        # Tried again by the keeper, which counts it; not beneath it, where nobody would see.
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    @classmethod
    def parse(cls, text: str, prove: Prove | None = None) -> Witness:
        """The witness that a text of the form ``witness+https://host/prefix#VKEY`` names.

        Raises:
            AuditError: it names none.
        """
        url, _, key = text.removeprefix(_SCHEME).partition("#")
        if not key or not url.startswith(("https://", "http://")):
            raise AuditError(f"`{text}` names no witness", hint=_FORM)
        return cls(url, Verifier.parse(key, algorithm=COSIGNATURE), prove)

    @property
    def label(self) -> str:
        """Its name."""
        return self.verifier.name

    def __str__(self) -> str:
        return f"{self.verifier.name} at {self.url}"

    def with_prove(self, prove: Prove) -> Witness:
        """This witness, asked about the log that gives these proofs."""
        return Witness(self.url, self.verifier, prove)

    def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Have the newest of them cosigned: it covers the others.

        Raises:
            WitnessError: the witness cannot be asked, refuses, or contradicts the log.
        """
        newest = max(checkpoints, key=lambda checkpoint: checkpoint.size)
        with self._lock:
            self._submit(newest)

    def kept(self, origin: str) -> list[str]:
        """The checkpoint that it has cosigned last for this process; it gives none away on its own."""
        cosigned = self._cosigned
        return [cosigned.note] if cosigned is not None and cosigned.origin == origin else []

    def cosignature(self, checkpoint: Checkpoint) -> str:
        """This witness's signature lines on ``checkpoint``, if it has given them; else the empty string."""
        found = self._cosigned
        return found.note.removeprefix(checkpoint.note) if found is not None and found.size == checkpoint.size else ""

    def _submit(self, checkpoint: Checkpoint) -> None:
        old = self._seen if self._seen <= checkpoint.size else 0
        for _ in range(CONFLICTS_MAX + 1):
            answer = self._post(old, checkpoint)
            if answer.status == 200:
                self._accept(checkpoint, answer)
                return
            if answer.status != 409:
                raise self._refused(answer, checkpoint)
            seen = self._size(answer, old if old == checkpoint.size else None)
            if seen == old:
                raise WitnessError(
                    f"the witness `{self.label}` has cosigned another log of {seen} entries: this one was rewritten",
                    kind="fork",
                )
            self._seen = seen
            if seen > checkpoint.size:
                self._superseded(seen)
                return
            old = seen
        raise WitnessError(f"the witness `{self.label}` keeps moving on", kind="failed", hint="it is tried again")

    def _superseded(self, seen: int) -> None:
        """Another process had a later checkpoint cosigned, which is well, if the log has ever been so large."""
        assert self._prove is not None
        try:
            self._prove(seen, seen)
        except (AuditError, VerificationError) as error:
            raise WitnessError(
                f"the witness `{self.label}` has seen {seen} entries, which the log does not have: its tail was cut, or an"
                " older copy of the database stands in its place",
                kind="ahead",
            ) from error

    def _post(self, old: int, checkpoint: Checkpoint) -> _Answer:
        import requests

        assert self._prove is not None, "a witness is asked about a log"
        path = self._prove(old, checkpoint.size) if 0 < old < checkpoint.size else []
        body = "".join([f"old {old}\n", *(f"{b64(step)}\n" for step in path), "\n", checkpoint.note])
        deadline = time.monotonic() + SECONDS_MAX
        try:
            with self._session.post(
                f"{self.url}/add-checkpoint",
                data=body.encode(),
                timeout=SECONDS_MAX,
                allow_redirects=False,
                stream=True,
                headers={"Content-Type": "text/plain; charset=utf-8"},
            ) as response:
                text = self._read(response, deadline)
                return _Answer(response.status_code, response.headers.get("Content-Type", ""), text)
        except (requests.RequestException, UnicodeDecodeError) as error:
            raise WitnessError(
                f"the witness `{self.label}` cannot be asked: {error}", kind="failed", hint="it is tried again"
            ) from error

    def _read(self, response: requests.Response, deadline: float) -> str:
        """The answer, which may be neither endless nor trickle in for ever."""
        data = b""
        for chunk in response.iter_content(4096):
            data += chunk
            if len(data) > NOTE_BYTES_MAX or time.monotonic() > deadline:
                raise WitnessError(f"the witness `{self.label}` does not come to an end", kind="failed")
        return data.decode()

    def _accept(self, checkpoint: Checkpoint, answer: _Answer) -> None:
        try:
            note = with_cosignatures(checkpoint.note, answer.text, self.verifier)
        except VerificationError as error:
            raise WitnessError(
                f"the witness `{self.label}` answers without a good cosignature: {error.message}",
                kind="failed",
                hint="check that its key is the one that you named",
            ) from error
        self._seen = checkpoint.size
        self._cosigned = Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root, note)

    def _size(self, answer: _Answer, otherwise: int | None) -> int:
        """What the witness has cosigned. Where the sizes are equal and the roots are not, it need not say it again."""
        text = answer.text.removesuffix("\n")
        if otherwise is not None and answer.kind.partition(";")[0].strip() != _SIZE_TYPE:
            return otherwise
        if not text.isascii() or not text.isdigit() or str(int(text)) != text:
            raise WitnessError(f"the witness `{self.label}` does not say what it has cosigned", kind="failed")
        return int(text)

    def _refused(self, answer: _Answer, checkpoint: Checkpoint) -> WitnessError:
        if answer.status == 422:
            return WitnessError(
                f"the witness `{self.label}` has cosigned {self._seen} entries that the log of {checkpoint.size} does not"
                " begin with: it was rewritten",
                kind="fork",
            )
        known = {404: "it does not know this log", 403: "it does not know this log's key", 400: "it finds it malformed"}
        why = known.get(answer.status, f"it answers {answer.status}")
        hint = "give its operator the log's public key" if answer.status in (403, 404) else "it is tried again"
        return WitnessError(f"the witness `{self.label}` refuses the checkpoint: {why}", kind="failed", hint=hint)


__all__ = ["Witness", "WitnessError"]
