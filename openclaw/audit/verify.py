"""``verify``: read the whole log again and compare it with every signed checkpoint in reach, inside and outside.

What is compared: each entry with its leaf hash; each interior node, and their number; the head; the chain of signing keys; each
checkpoint in the log, in every place outside and at every witness; behind a prune, the signed statement of what was removed.
SQLite's own check of the file runs beside it, so that an index that hides entries from a query is found too.
"""

from __future__ import annotations

import functools
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

import sqlalchemy as sa

from openclaw.audit.keeper import Keeper
from openclaw.audit.merkle import Edge, peaks
from openclaw.audit.notary import fields_of, noted, rotations_in, texts_of
from openclaw.audit.note import Checkpoint, Verifier
from openclaw.audit.places import FilePlace, Place, newest
from openclaw.audit.pruned import Pruned, open_pruned
from openclaw.audit.reading import Seen
from openclaw.audit.report import Problem, VerifyReport
from openclaw.audit.rotation import KeyChain
from openclaw.audit.rows import ENTRY, Raw
from openclaw.audit.walk import Walk
from openclaw.audit.witness import Witness, WitnessError
from openclaw.errors import AuditError, StoreError, VerificationError
from openclaw.store import Store
from openclaw.store.opening import UNREADABLE, driver_error

PLACE_SECONDS = 30.0
"""How long a place outside may take to hand out what it keeps; afterwards the report says that it was not compared."""

FILE_PROBLEMS_MAX = 20


@dataclass(frozen=True, slots=True)
class _Noted:
    """A checkpoint entry of the log, as far as it can be read."""

    seq: int
    body: str
    checkpoint: Checkpoint | None
    labels: tuple[str, ...]


@dataclass(slots=True)
class _Outside:
    """What one place keeps."""

    place: Place
    notes: list[str] = field(default_factory=list[str])
    error: AuditError | None = None
    late: bool = False


Known = dict[int, list[tuple[Checkpoint, str, int | None]]]
"""By size: a checkpoint whose signature is good, where it is kept, and the entry that holds it, if one does."""


class Verification:
    """One run of ``verify``.

    Args:
        store: where the log lives; reading is enough.
        trusted: a public key of the log that is trusted.
        keeper: the places outside, with what this process knows of them.
        trouble: why this process signs no checkpoints, if it should and does not.
        seen: hears how far the reading has come.
    """

    def __init__(
        self, store: Store, trusted: Verifier, keeper: Keeper, *, trouble: str = "", seen: Seen | None = None
    ) -> None:
        self._store = store
        self._trusted = trusted
        self._keeper = keeper
        self._seen = seen
        self._problems: list[Problem] = []
        self._warnings: list[str] = [f"no checkpoint could be signed: {trouble}"] if trouble else []
        self._later: list[Problem] = []
        self._fitting = 0  # the largest size up to which a checkpoint fitted

    def run(self) -> VerifyReport:
        """Verify, and say what was found."""
        outside = self._gather()
        with _FileCheck(self._store) as checked:
            return self._compared(outside, checked)

    def _compared(self, outside: Sequence[_Outside], checked: _FileCheck) -> VerifyReport:
        edge, pruned, chain, known, inside = Edge(), None, KeyChain(self._trusted), Known(), list[_Noted]()
        try:
            with self._store.read() as connection:
                raw = Raw(connection)
                inside = list(_checkpoint_entries(raw))
                chain = self._chain(inside)
                pruned = self._pruned(inside, chain)
                known = self._known(inside, outside, chain)
                edge = Edge(pruned.size, pruned.edge) if pruned else Edge()
                at_size = functools.partial(self._at_size, known)
                walk = Walk(raw, edge, list(known), at_size, seen=self._seen)
                self._problems += walk.problems()
                self._problems += [*self._cut(known, edge), *self._later]
                if not self._problems:
                    self._problems += _compare_tables(raw, edge, pruned, walk.apart)
        except (StoreError, *UNREADABLE, driver_error(self._store.engine)) as error:
            self._problems.append(Problem(message=f"the log cannot be read: {error}"))
        self._compare_places(inside, outside, edge)
        self._problems += checked.problems()
        compared = [seq for size, kept in known.items() for _, _, seq in kept if not pruned or size >= pruned.size]
        return VerifyReport(
            origin=self._store.origin,
            size=edge.size,
            root=edge.root().hex(),
            checkpoints=len(compared),
            outside=compared.count(None),
            pruned=pruned.size if pruned else 0,
            pruned_by=pruned.seq if pruned else None,
            keys=tuple(map(str, chain.keys)),
            problems=tuple(self._problems),
            warnings=tuple(self._warnings),
        )

    # -- what there is to compare with ---------------------------------------------------------------------------

    def _gather(self) -> list[_Outside]:
        """What each place keeps, all of them at once; one that hangs is left behind."""
        self._keeper.flush(PLACE_SECONDS)
        found = [_Outside(place) for place in self._keeper.places]
        threads = [threading.Thread(target=self._ask, args=(one,), daemon=True) for one in found]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + PLACE_SECONDS
        for one, thread in zip(found, threads, strict=True):
            thread.join(max(0.0, deadline - time.monotonic()))
            one.late = thread.is_alive()
        return found

    def _ask(self, one: _Outside) -> None:
        try:
            one.notes = one.place.kept(self._store.origin)
        except AuditError as error:
            one.error = error
        except Exception as error:  # noqa: BLE001 - foreign file systems raise what they like; the report tells it
            one.error = AuditError(f"`{one.place}` cannot be read: {type(error).__name__}: {error}")

    def _chain(self, inside: Sequence[_Noted]) -> KeyChain:
        try:
            return KeyChain(self._trusted, rotations_in([one.body for one in inside]))
        except VerificationError as error:
            self._problems.append(Problem(message=error.message))
            return KeyChain(self._trusted)

    def _pruned(self, inside: Sequence[_Noted], chain: KeyChain) -> Pruned | None:
        """The last prune, if one was recorded and what it says is signed."""
        for one in reversed(inside):
            if "pruned" not in fields_of(one.body):
                continue
            try:
                return open_pruned(one.body, one.seq, self._store.origin, chain)
            except VerificationError as error:
                self._problems.append(Problem(message=f"entry {one.seq}: {error.message}", seq=one.seq))
        return None

    def _known(self, inside: Sequence[_Noted], outside: Sequence[_Outside], chain: KeyChain) -> Known:
        known: Known = {}

        def add(note: str, where: str, seq: int | None) -> None:
            try:
                checkpoint = chain.open_checkpoint(note)
            except VerificationError as error:
                said = f"entry {seq}" if seq is not None else where
                self._problems.append(Problem(message=f"{error.message} ({said})", seq=seq))
                return
            if checkpoint.origin != self._store.origin:
                message = f"the checkpoint kept {where} is of another log, `{checkpoint.origin}`"
                self._problems.append(Problem(message=message, seq=seq))
            elif seq is not None and checkpoint.size >= seq:
                message = (
                    f"the checkpoint in entry {seq} covers {checkpoint.size} entries: itself and what came after it"
                )
                # Seldom the cause: entries before it are missing, and the walk names those.
                self._later.append(Problem(message=message, seq=seq))
            else:
                known.setdefault(checkpoint.size, []).append((checkpoint, where, seq))

        for one in inside:
            if one.checkpoint is None:
                message = f"entry {one.seq} was changed: it holds no checkpoint"
                self._problems.append(Problem(message=message, seq=one.seq))
            else:
                add(one.checkpoint.note, f"in entry {one.seq}", one.seq)
        for one in outside:
            where = (
                "outside the database" if isinstance(one.place, FilePlace) else f"outside the database in `{one.place}`"
            )
            for note in dict.fromkeys(one.notes):
                add(note, where, None)
        return known

    # -- comparing -----------------------------------------------------------------------------------------------

    def _at_size(self, known: Known, size: int, root: bytes) -> Iterator[Problem]:
        fits = True
        for checkpoint, where, _ in known.get(size, []):
            if checkpoint.root != root:
                fits = False
                first = self._fitting + 1
                yield Problem(message=f"entries {first} to {size} do not fit the checkpoint kept {where}", seq=first)
        if fits:
            self._fitting = size

    def _cut(self, known: Known, edge: Edge) -> Iterator[Problem]:
        beyond = max((size for size in known if size > edge.size), default=0)
        if beyond and not any("is missing" in problem.message for problem in self._problems):
            yield Problem(
                message=f"the log ends at entry {edge.size}, but a signed checkpoint covers {beyond}: its tail was cut,"
                " or an older copy of the database stands in its place",
                seq=edge.size + 1,
            )

    def _compare_places(self, inside: Sequence[_Noted], outside: Sequence[_Outside], edge: Edge) -> None:
        """See that each place has what the log says was kept there."""
        states = {state.place: state for state in self._keeper.states()}
        for one in outside:
            state = states[str(one.place)]
            if one.late:
                self._warnings.append(f"`{one.place}` has not answered in time: its checkpoints were not compared")
            elif isinstance(one.place, Witness):
                self._ask_witness(one.place, inside)
            elif one.error is not None and isinstance(one.place, FilePlace):
                self._problems.append(Problem(message=one.error.message))
            elif one.error is not None:
                self._warnings.append(f"{one.error.message}: nothing was compared with it")
            else:
                self._compare_kept(one, inside, state.pending)
            if state.pending:
                why = f": {state.error}" if state.error else ""
                self._warnings.append(f"{state.pending} checkpoints could not be kept outside in `{one.place}`{why}")
        told = {label for one in inside[-1:] for label in one.labels} - {one.place.label for one in outside}
        for label in sorted(told):
            self._warnings.append(
                f"the log also keeps its checkpoints in `{label}`, which was not asked: name it with --checkpoints"
            )
        if not any(one.notes for one in outside) and not any(isinstance(one.place, Witness) for one in outside):
            self._warnings.append("no checkpoint is kept outside the database: a cut tail would not be noticed")

    def _compare_kept(self, one: _Outside, inside: Sequence[_Noted], pending: int) -> None:
        expected = [it for it in inside if one.place.label in it.labels and it.checkpoint is not None]
        if not expected:
            return
        there = {_signed_text(note) for note in one.notes}
        missing = [it for it in expected if it.checkpoint and _signed_text(it.checkpoint.note) not in there]
        if len(missing) > pending and not one.notes:
            self._problems.append(
                Problem(
                    message=f"no checkpoint is left in `{one.place}`, where the log says that {len(expected)} were kept"
                    f" (the last one in entry {expected[-1].seq})",
                    seq=expected[-1].seq,
                )
            )
        elif len(missing) > pending:
            self._warnings.append(
                f"{len(missing)} of {len(expected)} checkpoints that the log says are kept in `{one.place}` are not there"
                f" (the first one is in entry {missing[0].seq}; the newest there covers {newest(one.notes)} entries)"
            )

    def _ask_witness(self, witness: Witness, inside: Sequence[_Noted]) -> None:
        """A witness gives nothing away, but cosigns the newest checkpoint if, and only if, all it has seen is in the log."""
        signed = [one.checkpoint for one in inside if one.checkpoint is not None]
        if not signed or self._problems:
            self._warnings.append(
                f"the witness `{witness.label}` was not asked: there is nothing sound to ask it about"
            )
            return
        try:
            witness.keep(signed[-1:])
        except WitnessError as error:
            if error.kind == "failed":
                self._warnings.append(error.message)
            else:
                self._problems.append(Problem(message=error.message))
        except AuditError as error:
            self._warnings.append(error.message)


def _through(index: sa.Index) -> str:
    """A query that reads every record of an index of the entries, and nothing else."""
    where: object = index.dialect_options["sqlite"]["where"]
    only = f" WHERE {where}" if where is not None else ""
    return f"SELECT total(seq + length({index.columns[0].name})) FROM {ENTRY.name} INDEXED BY {index.name}{only}"  # noqa: S608 - our own names


_THROUGH: Mapping[str, str] = {str(index.name): _through(index) for index in ENTRY.indexes}


class _FileCheck:
    """SQLite's own check of the whole file (``PRAGMA integrity_check``), on another core while the log is read.

    That check compares what an index holds with the table, and not how its records are written: a length that is wrong there
    lets it pass, and stops the query of somebody who asks by that index. So each index of the entries is read through, too.

    Its thread ends with the context, also where that is left early.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: list[str] = []
        self._thread: threading.Thread | None = None
        self._driver: sqlite3.Connection | None = None
        self._left = False
        if store.engine.dialect.name == "sqlite":
            self._thread = threading.Thread(target=self._check, name="openclaw-integrity", daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left = True
        if self._thread is not None and self._thread.is_alive():
            if (driver := self._driver) is not None:
                driver.interrupt()
            self._thread.join()

    def _check(self) -> None:
        try:
            with self._store.peek() as connection:
                self._driver = cast("sqlite3.Connection", connection.connection.driver_connection)
                if self._left:
                    return
                found = connection.exec_driver_sql(f"PRAGMA integrity_check({FILE_PROBLEMS_MAX})").scalars().all()
                self._said = [line for text in map(str, found) if text != "ok" for line in text.splitlines()]
                if not self._said:  # what it has said is more than that something cannot be read
                    self._read_indexes(connection)
        except (StoreError, UnicodeDecodeError) as error:
            self._said = [str(error)]
        finally:
            self._driver = None

    def _read_indexes(self, connection: sa.Connection) -> None:
        there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'").scalars().all()
        for name in sorted({*map(str, there)} & _THROUGH.keys()):
            connection.exec_driver_sql(_THROUGH[name])

    def problems(self) -> Iterator[Problem]:
        if self._thread is None:
            return
        self._thread.join()
        for line in self._said[:FILE_PROBLEMS_MAX]:
            yield Problem(message=f"the database file is damaged: {line}")


def _checkpoint_entries(raw: Raw) -> Iterator[_Noted]:
    for seq, stored in raw.checkpoints():
        if not isinstance(seq, int):
            continue  # the walk names it
        body = str(stored)
        yield _Noted(seq, body, noted(body), tuple(texts_of(fields_of(body), "kept")))


def _compare_tables(raw: Raw, edge: Edge, pruned: Pruned | None, apart: int) -> Iterator[Problem]:
    """The head, and that there are no nodes but those of the tree: ``apart`` of them stand beside no entry."""
    heads = raw.heads()
    if len(heads) != 1:
        yield Problem(message=f"the log has {len(heads)} heads: it must have one")
        return
    number, size, packed = heads[0]
    if number != 1:
        yield Problem(message=f"the head has the number {number}, not 1")
    if size != edge.size:
        fewer = isinstance(size, int) and 0 <= size < edge.size
        seq = cast("int", size) + 1 if fewer else edge.size + 1
        why = f"entry {seq} was added, or the head changed" if fewer else f"entry {seq} is missing"
        yield Problem(message=f"the head says {size} entries, the log has {edge.size}: {why}", seq=seq)
    elif not isinstance(packed, bytes) or packed != edge.to_bytes():
        seq = edge.size + 1
        why = f"entry {seq} was removed and the size of the head changed with it, or the edge was changed"
        yield Problem(message=f"the head's right edge does not fit the {edge.size} entries: {why}", seq=seq)
    if pruned is not None:
        for (level, index), digest in zip(peaks(0, pruned.size), pruned.edge, strict=True):
            apart += 1
            if raw.node(level, index) != digest:
                first, last = (index << level) + 1, (index + 1) << level
                yield Problem(message=f"what is left of the tree over the pruned entries {first} to {last} was changed")
    nodes = raw.nodes()
    if nodes != apart:
        yield Problem(message=f"{nodes} nodes of the tree stand beside no entry, where {apart} must")


def _signed_text(note: str) -> str:
    """A note without its signature lines: cosignatures may have been added to it."""
    return note.rpartition("\n\n")[0]


__all__ = ["Verification"]
