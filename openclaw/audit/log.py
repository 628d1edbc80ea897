"""The audit log: appended inside the transactions of others, read by everyone, provable offline.

INVARIANT: ``seq`` counts from 1 without gaps and equals commit order; leaf ``seq - 1`` of the tree is entry ``seq``.
INVARIANT: entries, interior nodes and the head (size and right edge) change in one commit, or not at all.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from sqlalchemy import Connection

from openclaw.action import utc
from openclaw.audit.entry import Draft, Entry, EntryKind, body_bytes, entry_bytes, entry_leaf, moment
from openclaw.audit.mask import mask
from openclaw.audit.merkle import Edge, Node, inclusion_proof, leaf_hash, root_from_inclusion
from openclaw.audit.note import Checkpoint, Signer, Verifier, open_checkpoint
from openclaw.canonical import plain
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Statement, Store, Transaction
from openclaw.store.tables import ActionRow, EntryRow, HeadRow, NodeRow, Table

CHECKPOINT_ENTRIES = 1_000
CHECKPOINT_SECONDS = 300
"""A commit signs a checkpoint by itself once so many entries, or so much time, have come since the last one."""

PAGE = 1_000

_ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]
_NODE: sa.Table = Table.metadata.tables[str(NodeRow.__tablename__)]
_HEAD: sa.Table = Table.metadata.tables[str(HeadRow.__tablename__)]
_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]

_GET_HEAD = Statement(sa.select(_HEAD.c.size, _HEAD.c.edge))
_SET_HEAD = Statement(sa.update(_HEAD).values(size=sa.bindparam("new_size"), edge=sa.bindparam("new_edge")))
_ADD_ENTRY = Statement(sa.insert(_ENTRY))
_ADD_NODE = Statement(sa.insert(_NODE))
_LAST_CHECKPOINT = Statement(
    sa.select(_ENTRY.c.seq, _ENTRY.c.at).where(_ENTRY.c.kind == "checkpoint").order_by(_ENTRY.c.seq.desc()).limit(1)
)


@dataclass(slots=True)
class _Growth:
    """What a transaction is about to add to the log."""

    edge: Edge
    rows: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    nodes: list[Node] = field(default_factory=list[Node])


class Problem(BaseModel):
    """One thing that ``verify`` found; ``seq`` is the entry that shows it, where one does."""

    model_config = ConfigDict(frozen=True)

    message: str
    seq: int | None = None


class VerifyReport(BaseModel):
    """What ``verify`` found. ``checkpoints`` counts the signed ones that were compared, ``outside`` those among them
    that were kept outside the database: without any, a cut tail cannot be noticed, and ``warnings`` says so."""

    model_config = ConfigDict(frozen=True)

    origin: str
    size: int
    root: str
    checkpoints: int
    outside: int
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds."""
        return not self.problems

    def require(self) -> VerifyReport:
        """This report, if it holds.

        Raises:
            VerificationError: naming the first problem.
        """
        if self.problems:
            raise VerificationError(self.problems[0].message, seq=self.problems[0].seq)
        return self


class Proof(BaseModel):
    """One entry with everything needed to check offline that it is in the log: ``check`` needs the public key alone.

    Attributes:
        entry: the canonical JSON text of the entry, whose UTF-8 bytes are those of its leaf: a checker only hashes them.
        index: of the leaf, from 0.
        path: inclusion proof (RFC 9162 section 2.1.3), hex hashes, leaf first.
        checkpoint: the signed note that covers it.
        key: the public key that signed (a C2SP vkey). Trust the one that you were given elsewhere, not this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: str
    index: int
    path: tuple[str, ...]
    checkpoint: str
    key: str

    def check(self, verifier: Verifier) -> Checkpoint:
        """The checkpoint that covers the entry.

        Raises:
            VerificationError: entry, proof, checkpoint and key do not fit together.
        """
        checkpoint = open_checkpoint(self.checkpoint, verifier)
        try:
            path = [bytes.fromhex(step) for step in self.path]
            leaf = leaf_hash(self.entry.encode())
        except ValueError as error:
            raise VerificationError(f"the proof cannot be read: {error}") from error
        if root_from_inclusion(leaf, self.index, checkpoint.size, path) != checkpoint.root:
            raise VerificationError("the entry is not in the log that the checkpoint describes", seq=self.index + 1)
        return checkpoint

    def read(self) -> Entry:
        """The entry, for people. Check the proof first."""
        fields = json.loads(self.entry)
        return Entry.model_validate({**fields, "leaf": leaf_hash(self.entry.encode()).hex()})


class AuditLog:
    """The log in a store. Inside the gate, ``record`` joins the gate's transaction; ``append`` opens one of its own.

    Args:
        store: where it lives.
        signer: signs checkpoints and keys the digests of masked values.
        outside: a file outside the database to which every checkpoint is appended, so that a cut tail is noticed.
        every_entries: see ``CHECKPOINT_ENTRIES``.
        every_seconds: see ``CHECKPOINT_SECONDS``.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        *,
        outside: Path | None = None,
        every_entries: int = CHECKPOINT_ENTRIES,
        every_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._store = store
        self._signer = signer
        self._outside = outside
        self._mask_key = signer.secret("openclaw mask v1")
        self._every_entries = every_entries
        self._every = dt.timedelta(seconds=every_seconds)
        self._last: tuple[int, dt.datetime] | None = (
            None  # entry and time of the last checkpoint that this process knows
        )
        self._unkept: list[Checkpoint] = []
        if not store.readonly:
            store.hooks.append(self._write)

    @property
    def verifier(self) -> Verifier:
        """The public key of this log's checkpoints."""
        return self._signer.verifier

    # -- writing -------------------------------------------------------------------------------------------------

    def record(self, transaction: Transaction, draft: Draft) -> int:
        """Add an entry to ``transaction``; its sequence number, final if the transaction commits."""
        growth = self._growth(transaction)
        seq = growth.edge.size + 1
        at = utc(transaction.now)
        body = body_bytes(draft)
        leaf = entry_leaf(seq, at, draft, body)
        growth.nodes += growth.edge.append(leaf)
        growth.rows.append(
            {
                "seq": seq,
                "at": at,
                "kind": draft.kind,
                "run": draft.run,
                "workflow": draft.workflow,
                "agent": draft.agent,
                "tool": draft.tool,
                "call_id": draft.call_id,
                "effect": draft.effect,
                "body": body.decode(),
                "leaf": leaf,
            }
        )
        return seq

    def append(self, entry: Draft | Mapping[str, object]) -> Entry:
        """Add one entry in a transaction of its own; returns when it is durable. Any value may stand in its body.

        Raises:
            AuditError: it is not an entry: an unknown kind or field.
        """
        if isinstance(entry, Mapping):
            entry = _draft(entry)
        body = {key: plain(value) for key, value in entry.body.items()}
        draft = entry.model_copy(update={"body": body})
        return self.entry(self._store.run(lambda transaction: self.record(transaction, draft)))

    def masked(self, document: dict[str, JsonValue], fields: list[str]) -> dict[str, JsonValue]:
        """A copy of a policy input with ``fields`` replaced by keyed digests (see ``openclaw.audit.mask``)."""
        return mask(document, fields, self._mask_key)

    def checkpoint(self) -> Checkpoint:
        """Sign the log as it stands: into the log, and into the file outside.

        Raises:
            AuditError: the log is empty, or the file outside cannot be written.
        """
        checkpoint = self._store.run(self._sign)
        self._keep_outside(*self._unkept, checkpoint)
        self._unkept.clear()
        return checkpoint

    def checkpoint_if_grown(self) -> Checkpoint | None:
        """A checkpoint, unless nothing but checkpoints has come since the last one."""
        if self._store.readonly:
            return None
        with self._store.read() as connection:
            last = connection.execute(
                sa.select(_ENTRY.c.kind).order_by(_ENTRY.c.seq.desc()).limit(1)
            ).scalar_one_or_none()
        return None if last in (None, "checkpoint") else self.checkpoint()

    def _sign(self, transaction: Transaction) -> Checkpoint:
        edge = self._growth(transaction).edge
        if edge.size == 0:
            raise AuditError("the log is empty: there is nothing to sign yet")
        checkpoint = self._signer.checkpoint(self._store.origin, edge.size, edge.root())
        key = str(self._signer.verifier)
        body: dict[str, JsonValue] = {"note": checkpoint.note, "key": key, "size": checkpoint.size}
        self._last = (self.record(transaction, Draft(kind="checkpoint", body=body)), transaction.now)
        return checkpoint

    def _sign_if_due(self, transaction: Transaction) -> None:
        edge = self._growth(transaction).edge
        if self._last is None:
            found = transaction.rows(_LAST_CHECKPOINT, {})
            self._last = (cast("int", found[0]["seq"]), moment(str(found[0]["at"]))) if found else (0, transaction.now)
        size, at = self._last
        if edge.size - size >= self._every_entries or transaction.now - at >= self._every:
            checkpoint = self._sign(transaction)
            transaction.after.append(lambda: self._try_to_keep_outside(checkpoint))

    def _try_to_keep_outside(self, checkpoint: Checkpoint) -> None:
        """A commit is durable whether or not its checkpoint is kept outside; what is not kept is tried with the next."""
        try:
            self._keep_outside(*self._unkept, checkpoint)
        except AuditError:
            self._unkept.append(checkpoint)  # the next checkpoint() raises what is wrong, and verify() warns
        else:
            self._unkept.clear()

    def _keep_outside(self, *checkpoints: Checkpoint) -> None:
        if self._outside is None:
            return
        try:
            self._outside.parent.mkdir(parents=True, exist_ok=True)
            with self._outside.open("a") as file:
                file.writelines(json.dumps({"note": checkpoint.note}) + "\n" for checkpoint in checkpoints)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise AuditError(
                f"the checkpoint cannot be kept outside the database in `{self._outside}`: {error}",
                hint="it stands in the log; make the file writable and call checkpoint() again",
            ) from error

    def _growth(self, transaction: Transaction) -> _Growth:
        growth = transaction.notes.get("audit")
        if growth is None:
            head = transaction.rows(_GET_HEAD, {})[0]
            edge = Edge.from_bytes(cast("int", head["size"]), bytes(cast("bytes", head["edge"])))
            growth = transaction.notes["audit"] = _Growth(edge)
        assert isinstance(growth, _Growth)
        return growth

    def _write(self, transaction: Transaction) -> None:
        """The hook before each commit: one insert for all entries, one for all nodes, one update of the head."""
        growth = transaction.notes.get("audit")
        if not isinstance(growth, _Growth) or not growth.rows:
            return
        if growth.rows[-1]["kind"] != "checkpoint":
            self._sign_if_due(transaction)
        transaction.many(_ADD_ENTRY, growth.rows)
        if growth.nodes:
            nodes = [{"level": level, "index": index, "hash": digest} for level, index, digest in growth.nodes]
            transaction.many(_ADD_NODE, nodes)
        transaction.count(_SET_HEAD, {"new_size": growth.edge.size, "new_edge": growth.edge.to_bytes()})

    # -- reading -------------------------------------------------------------------------------------------------

    def entry(self, seq: int) -> Entry:
        """Entry number ``seq``.

        Raises:
            AuditError: there is none.
        """
        with self._store.read() as connection:
            row = connection.execute(sa.select(_ENTRY).where(_ENTRY.c.seq == seq)).mappings().one_or_none()
            if row is None:
                size = connection.execute(sa.select(_HEAD.c.size)).scalar_one()
                raise AuditError(f"there is no entry {seq}", hint=f"the log has {size} entries, counted from 1")
        return _entry(row)

    def entries(
        self,
        *,
        kind: EntryKind | None = None,
        run: str | None = None,
        workflow: str | None = None,
        agent: str | None = None,
        tool: str | None = None,
        effect: str | None = None,
        after: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Entry]:
        """Entries in order of ``seq``, filtered by equality of their columns.

        Args:
            after: only entries with a larger ``seq``; the way to page.
            limit: at most so many; None for all.
            newest_first: turn the order round before the limit cuts.
        """
        wanted = {"kind": kind, "run": run, "workflow": workflow, "agent": agent, "tool": tool, "effect": effect}
        query = sa.select(_ENTRY).where(
            _ENTRY.c.seq > after, *(_ENTRY.c[name] == value for name, value in wanted.items() if value is not None)
        )
        query = query.order_by(_ENTRY.c.seq.desc() if newest_first else _ENTRY.c.seq).limit(limit)
        with self._store.read() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def size(self) -> int:
        """How many entries the log has."""
        with self._store.read() as connection:
            return connection.execute(sa.select(_HEAD.c.size)).scalar_one()

    def open_actions(self) -> list[Entry]:
        """The decisions whose action was let through and has no outcome: running now, or cut off by a crash."""
        query = (
            sa.select(_ENTRY)
            .join(_ACTION, _ACTION.c.seq == _ENTRY.c.seq)
            .where(_ACTION.c.state == "running")
            .order_by(_ENTRY.c.seq)
        )
        with self._store.read() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def prove(self, seq: int) -> Proof:
        """A self-contained proof that entry ``seq`` is in the log, under a checkpoint made now.

        Raises:
            AuditError: there is no such entry.
        """
        entry = self.entry(seq)
        checkpoint = self.checkpoint()
        with self._store.read() as connection:
            path = inclusion_proof(seq - 1, checkpoint.size, lambda level, index: _subtree(connection, level, index))
        return Proof(
            entry=entry_bytes(seq, utc(entry.at), entry, body_bytes(entry)).decode(),
            index=seq - 1,
            path=tuple(step.hex() for step in path),
            checkpoint=checkpoint.note,
            key=str(self._signer.verifier),
        )

    # -- verifying -----------------------------------------------------------------------------------------------

    def verify(self, verifier: Verifier | None = None) -> VerifyReport:
        """Read the whole log again: every leaf, every interior node, the head, and every checkpoint in reach.

        Args:
            verifier: the public key that the checkpoints must be signed by; the log's own by default.
        """
        problems: list[Problem] = []
        outside, complaints = self._outside_checkpoints()
        problems += complaints
        with self._store.read() as connection:
            inside = [
                (str(json.loads(body).get("note")), seq)
                for seq, body in connection.execute(
                    sa.select(_ENTRY.c.seq, _ENTRY.c.body).where(_ENTRY.c.kind == "checkpoint").order_by(_ENTRY.c.seq)
                )
            ]
            checkpoints: dict[int, list[tuple[Checkpoint, int | None]]] = {}
            for note, seq in [*inside, *((note, None) for note in outside)]:
                try:
                    checkpoint = open_checkpoint(note, verifier or self._signer.verifier)
                except VerificationError as error:
                    problems.append(Problem(message=error.message, seq=seq))
                else:
                    checkpoints.setdefault(checkpoint.size, []).append((checkpoint, seq))
            edge = Edge()
            problems += self._walk(connection, edge, checkpoints)
            if not problems:
                problems += _compare_head(connection, edge)
        problems += [
            Problem(
                message=f"the log ends at entry {edge.size}, but a signed checkpoint covers {size}: its tail was cut",
                seq=edge.size + 1,
            )
            for size in sorted(checkpoints)
            if size > edge.size
        ][:1]
        warnings = () if outside else ("no checkpoint is kept outside the database: a cut tail would not be noticed",)
        if self._unkept:
            warnings += (f"{len(self._unkept)} checkpoints could not be kept outside in `{self._outside}`",)
        return VerifyReport(
            origin=self._store.origin,
            size=edge.size,
            root=edge.root().hex(),
            checkpoints=sum(map(len, checkpoints.values())),
            outside=len(outside),
            problems=tuple(problems),
            warnings=warnings,
        )

    def _walk(
        self, connection: Connection, edge: Edge, checkpoints: dict[int, list[tuple[Checkpoint, int | None]]]
    ) -> Iterator[Problem]:
        """Rebuild the tree from the entries themselves.

        What follows from a problem already named is not named again, so that the first message is the cause. Stops at
        the first gap: behind it every number is shifted.
        """
        named: list[int] = []
        for row in _pages(connection):
            seq = edge.size + 1
            if row["seq"] != seq:
                yield Problem(message=f"entry {seq} is missing: the log goes on with {row['seq']}", seq=seq)
                return
            leaf, complaint = _recompute(row)
            if complaint:
                named.append(seq)
                yield Problem(message=f"entry {seq} was changed: {complaint}", seq=seq)
            for level, index, digest in edge.append(leaf):
                first, last = (index << level) + 1, (index + 1) << level
                if _stored_node(connection, level, index) != digest and not any(first <= it <= last for it in named):
                    named.append(first)
                    yield Problem(message=f"entries {first} to {last} do not fit the tree above them", seq=first)
            for checkpoint, where in checkpoints.get(seq, []):
                kept = "outside the database" if where is None else f"in entry {where}"
                if checkpoint.origin != self._store.origin:
                    yield Problem(
                        message=f"the checkpoint kept {kept} is of another log, `{checkpoint.origin}`", seq=where
                    )
                elif checkpoint.root != edge.root() and not named:
                    yield Problem(message=f"entries 1 to {seq} do not fit the checkpoint kept {kept}", seq=where or seq)

    def _outside_checkpoints(self) -> tuple[list[str], list[Problem]]:
        if self._outside is None or not self._outside.exists():
            return [], []
        try:
            lines = self._outside.read_text().splitlines()
            return [str(json.loads(line)["note"]) for line in lines if line.strip()], []
        except (OSError, ValueError, KeyError, TypeError) as error:
            return [], [Problem(message=f"the checkpoints in `{self._outside}` cannot be read: {error}")]


def _draft(fields: Mapping[str, object]) -> Draft:
    body = fields.get("body", {})
    if not isinstance(body, Mapping):
        raise AuditError("the body of an entry is an object", hint="give it as a dict")
    try:
        empty = Draft.model_validate({**fields, "body": {}})
    except ValidationError as error:
        first = error.errors()[0]
        raise AuditError(f"this is not an entry: `{'.'.join(map(str, first['loc']))}`: {first['msg']}") from error
    return empty.model_copy(update={"body": dict(cast("Mapping[str, JsonValue]", body))})


def _entry(row: sa.RowMapping) -> Entry:
    columns = dict(row)
    return Entry.model_validate(
        {
            **columns,
            "at": moment(columns["at"]),
            "body": json.loads(columns["body"]),
            "leaf": bytes(columns["leaf"]).hex(),
        }
    )


def _recompute(row: sa.RowMapping) -> tuple[bytes, str]:
    """The leaf hash of a stored row, and what is wrong with the row, if anything."""
    body = str(row["body"]).encode("utf-8", "surrogatepass")
    fields = {name: str(row[name]) for name in ("kind", "run", "workflow", "agent", "tool", "call_id", "effect")}
    draft = Draft.model_construct(**fields)  # pyright: ignore[reportArgumentType] - unchecked: it may be forged
    leaf = leaf_hash(entry_bytes(row["seq"], row["at"], draft, body))
    return leaf, "" if leaf == bytes(row["leaf"]) else "it does not fit its leaf hash"


def _pages(connection: Connection) -> Iterator[sa.RowMapping]:
    after = -1
    while True:
        query = sa.select(_ENTRY).where(_ENTRY.c.seq > after).order_by(_ENTRY.c.seq).limit(PAGE)
        rows = connection.execute(query).mappings().all()
        if not rows:
            return
        yield from rows
        after = rows[-1]["seq"]


def _compare_head(connection: Connection, edge: Edge) -> Iterator[Problem]:
    size, packed = connection.execute(sa.select(_HEAD.c.size, _HEAD.c.edge)).one()
    if size != edge.size:
        yield Problem(
            message=f"the head says {size} entries, the log has {edge.size}: entries are missing", seq=edge.size + 1
        )
    elif bytes(packed) != edge.to_bytes():
        yield Problem(message="the head's right edge does not fit the entries")


def _stored_node(connection: Connection, level: int, index: int) -> bytes | None:
    query = sa.select(_NODE.c.hash).where(_NODE.c.level == level, _NODE.c.index == index)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)


def _subtree(connection: Connection, level: int, index: int) -> bytes:
    if level == 0:
        query = sa.select(_ENTRY.c.leaf).where(_ENTRY.c.seq == index + 1)
        return bytes(connection.execute(query).scalar_one())
    stored = _stored_node(connection, level, index)
    if stored is None:
        raise AuditError(
            f"the tree node at level {level}, index {index} is missing", hint="run `openclaw audit verify`"
        )
    return stored


__all__ = ["AuditLog", "Problem", "Proof", "VerifyReport"]
