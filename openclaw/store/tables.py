# pyright: reportIncompatibleVariableOverride=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# SQLModel types `__tablename__` as a declared_attr and `Field(sa_column=…)` as unknown; both are its documented use.
"""All tables, in one place. Rows never leave store/, audit/, budget/ and approvals: callers get frozen values.

Text columns are never null: what is absent is the empty string, so that the canonical form of a row is one thing.
Times are RFC 3339 text in UTC with microseconds, whose order is time order. Amounts are integers.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 1


class Table(SQLModel, registry=registry()):
    """Base with a metadata of its own, so that tables of the user's program and ours never mix."""


class Meta(Table, table=True):
    """The one row that says whose database this is. Writers on PostgreSQL lock it, which puts commits in one order."""

    __tablename__: ClassVar[str] = "openclaw_meta"

    id: int = Field(default=1, primary_key=True)
    schema_version: int = SCHEMA_VERSION
    origin: str
    created_at: str


class EntryRow(Table, table=True):
    """One entry of the audit log. ``body`` is canonical JSON (RFC 8785)."""

    __tablename__: ClassVar[str] = "openclaw_entry"
    __table_args__: ClassVar[tuple[Index, ...]] = (
        Index("openclaw_entry_run", "run", "seq"),
        Index("openclaw_entry_tool", "tool", "seq"),
        Index("openclaw_entry_agent", "agent", "seq"),
        Index("openclaw_entry_workflow", "workflow", "seq"),
        # What reviewers look for is rare: these two hold a few of a hundred entries, and cost the others nothing.
        Index(
            "openclaw_entry_refused",
            "effect",
            "seq",
            sqlite_where=text("effect IN ('ask', 'deny')"),
            postgresql_where=text("effect IN ('ask', 'deny')"),
        ),
        Index(
            "openclaw_entry_rare",
            "kind",
            "seq",
            sqlite_where=text("kind NOT IN ('decision', 'outcome')"),
            postgresql_where=text("kind NOT IN ('decision', 'outcome')"),
        ),
        Index(
            "openclaw_entry_checkpoint",
            "seq",
            sqlite_where=text("kind = 'checkpoint'"),
            postgresql_where=text("kind = 'checkpoint'"),
        ),
        # A proof carries every key rotation: without this, it would read every checkpoint to find them.
        Index(
            "openclaw_entry_rotation",
            "kind",  # of one value here, but without it the index of checkpoints looks as good to SQLite
            "seq",
            sqlite_where=text("kind = 'checkpoint' AND instr(body, '\"rotation') > 0"),
            postgresql_where=text("kind = 'checkpoint' AND strpos(body, '\"rotation') > 0"),
        ),
    )

    # An INTEGER key is a SQLite table's own order: one B-tree for the entries, not one more to find them by.
    seq: int = Field(
        sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False)
    )
    at: str
    kind: str
    run: str = ""
    workflow: str = ""
    agent: str = ""
    tool: str = ""
    call_id: str = ""
    effect: str = ""
    body: str = Field(sa_column=Column(Text, nullable=False))
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    # The hashes of the interior nodes that this leaf has completed, from below, 32 bytes each; null where it completes none.
    # Beside the entry they cost no page of their own. A database of older versions has those of its old entries in NodeRow.
    nodes: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


class NodeRow(Table, table=True):
    """The hash of one complete subtree of 2**level leaves, where no entry has it: ``index`` counts subtrees of that level.

    Those at the right edge of what was pruned (a leaf, too), and all that an older version has written.
    """

    __tablename__: ClassVar[str] = "openclaw_node"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}

    level: int = Field(primary_key=True)
    index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class HeadRow(Table, table=True):
    """The right edge of the tree: its size and the hashes of its complete subtrees, largest first, 32 bytes each."""

    __tablename__: ClassVar[str] = "openclaw_head"

    id: int = Field(default=1, primary_key=True)
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    edge: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ActionRow(Table, table=True):
    """An action that was let through, or refused under a key: what stands between its decision and its outcome.

    ``worker`` runs it, ``hold`` is its reservation. ``result`` is what to hand back if it is asked for again, sealed (see
    ``openclaw.audit.privacy``); empty after ``kept_until``.
    """

    __tablename__: ClassVar[str] = "openclaw_action"
    __table_args__: ClassVar[tuple[Index, ...]] = (
        Index(
            "openclaw_action_key",
            "key",
            unique=True,
            sqlite_where=text("key <> ''"),
            postgresql_where=text("key <> ''"),
        ),
        Index(
            "openclaw_action_open",
            "seq",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index(
            "openclaw_action_kept",
            "kept_until",
            sqlite_where=text("kept_until <> ''"),
            postgresql_where=text("kept_until <> ''"),
        ),
    )

    seq: int = Field(
        sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False)
    )
    key: str = ""
    state: str
    worker: str = ""
    hold: str = ""
    result: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    kept_until: str = ""


class SubjectRow(Table, table=True):
    """The data key of one person (``subject``, a keyed digest), wrapped under a secret of the log's signing key."""

    __tablename__: ClassVar[str] = "openclaw_subject"

    subject: str = Field(primary_key=True)
    key: str
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    made_at: str


class WorkerRow(Table, table=True):
    """A process that runs actions. It lives until ``until``, unless its machine can tell that it has ended before.

    ``machine`` is empty where processes cannot be told from each other by ``pid`` and ``born``.
    """

    __tablename__: ClassVar[str] = "openclaw_worker"

    id: str = Field(primary_key=True)
    machine: str = ""
    pid: int = 0
    born: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    until: str


class RunRow(Table, table=True):
    """One run of a graph; a resumed thread goes on with its last one."""

    __tablename__: ClassVar[str] = "openclaw_run"
    __table_args__: ClassVar[tuple[Index, ...]] = (Index("openclaw_run_thread", "thread", "started_at"),)

    id: str = Field(primary_key=True)
    thread: str = ""
    workflow: str = ""
    started_at: str


class ApprovalRow(Table, table=True):
    """A question to a person, bound to one execution (``key``) with exact arguments (``args_digest``)."""

    __tablename__: ClassVar[str] = "openclaw_approval"
    __table_args__: ClassVar[tuple[Index, ...]] = (
        Index("openclaw_approval_key", "key", unique=True),
        Index("openclaw_approval_state", "state", "requested_at"),
    )

    id: str = Field(primary_key=True)
    key: str
    state: str
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    run: str = ""
    thread: str = ""
    agent: str = ""
    tool: str = ""
    args_digest: str
    request: str = Field(sa_column=Column(Text, nullable=False))
    requested_at: str
    expires_at: str = ""
    answered_by: str = ""
    answered_at: str = ""
    reason: str = ""


class AnswerRow(Table, table=True):
    """What one person (``person``: one spelling of the name) has said to a question; ``by`` is the name as it was given.

    ``changed`` is the digest of the arguments as they changed them, ``proof`` what proves who they are: a signed note, or
    the digest of a token.
    """

    __tablename__: ClassVar[str] = "openclaw_answer"

    approval: str = Field(primary_key=True)
    person: str = Field(primary_key=True)
    by: str
    answer: str
    at: str
    reason: str = ""
    changed: str = ""
    proof: str = Field(default="", sa_column=Column(Text, nullable=False))


class AmendmentRow(Table, table=True):
    """The arguments of a question as an approver has changed them last: as they may be shown (JSON), and sealed.

    ``sealed`` is empty after ``kept_until``.
    """

    __tablename__: ClassVar[str] = "openclaw_amendment"

    approval: str = Field(primary_key=True)
    by: str
    args: str = Field(sa_column=Column(Text, nullable=False))
    digest: str
    sealed: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    kept_until: str = ""


class ApproverRow(Table, table=True):
    """A person who may answer (``person``: one spelling of ``name``): roles as a JSON list, public key, digest of a token."""

    __tablename__: ClassVar[str] = "openclaw_approver"

    person: str = Field(primary_key=True)
    name: str
    roles: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    key: str = ""
    token: str = ""
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


class ExceptionRow(Table, table=True):
    """A bounded exception that a person has opened; entry ``seq`` records it, and ``seal`` binds this row to it.

    ``args`` are conditions on arguments as a JSON list. Of its ``uses``, ``used`` are used up. ``proof`` is what proves who
    opened it: a signed note, or the digest of a token.
    """

    __tablename__: ClassVar[str] = "openclaw_exception"
    __table_args__: ClassVar[tuple[Index, ...]] = (
        Index(
            "openclaw_exception_open",
            "expires_at",
            sqlite_where=text("closed_at = ''"),
            postgresql_where=text("closed_at = ''"),
        ),
    )

    id: str = Field(primary_key=True)
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    workflow: str = ""
    agent: str = ""
    tool: str = ""
    args: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    uses: int = Field(sa_column=Column(BigInteger, nullable=False))
    used: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    by: str
    reason: str = Field(sa_column=Column(Text, nullable=False))
    opened_at: str
    expires_at: str
    closed_at: str = ""
    closed_by: str = ""
    proof: str = Field(default="", sa_column=Column(Text, nullable=False))
    seal: str = ""


class ExceptionUseRow(Table, table=True):
    """The ``number``-th use of an exception: decision ``seq`` of the execution ``key``, which goes on under it if it waits."""

    __tablename__: ClassVar[str] = "openclaw_exception_use"
    __table_args__: ClassVar[tuple[Index, ...]] = (Index("openclaw_exception_use_key", "key"),)

    exception: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    key: str = ""
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))


class HaltRow(Table, table=True):
    """What a person has stopped: the actions that all of these names fit, where an empty one fits any."""

    __tablename__: ClassVar[str] = "openclaw_halt"

    workflow: str = Field(primary_key=True)
    agent: str = Field(primary_key=True)
    run: str = Field(primary_key=True)
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    by: str
    reason: str = ""
    at: str


class AccountRow(Table, table=True):
    """What one account may spend in one window, what it has spent, and what is held. A null limit is no limit."""

    __tablename__: ClassVar[str] = "openclaw_account"
    __table_args__: ClassVar[tuple[Index, ...]] = (
        Index("openclaw_account_path", "path", "window", "opens_at", unique=True),
    )

    id: int | None = Field(default=None, primary_key=True)
    path: str
    window: str = "total"
    opens_at: str = ""
    current: bool = True
    declared: bool = True
    shared: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("FALSE")))

    tokens_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    tokens_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    tokens_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    input_tokens_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    input_tokens_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    input_tokens_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    output_tokens_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    output_tokens_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    output_tokens_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    calls_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    calls_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    calls_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    microusd_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    microusd_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    microusd_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    milliseconds_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    milliseconds_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    milliseconds_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    mwh_limit: int | None = Field(default=None, sa_column=Column(BigInteger))
    mwh_posted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    mwh_pending: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))


class ShareRow(Table, table=True):
    """The priority of one workflow of an organisation, or of all the rest of it (``path`` is ``org``).

    ``state`` is JSON: by window, when it began, and by unit what is lent of the share and what was taken beside it.
    """

    __tablename__: ClassVar[str] = "openclaw_share"
    __table_args__: ClassVar[tuple[Index, ...]] = (Index("openclaw_share_org", "org"),)

    path: str = Field(primary_key=True)
    org: str
    priority: int = 0
    declared: bool = True
    state: str = Field(default="{}", sa_column=Column(Text, nullable=False))


class ReservationRow(Table, table=True):
    """A hold over all accounts of a path. ``accounts`` are their row ids, so that it settles where it was opened."""

    __tablename__: ClassVar[str] = "openclaw_reservation"
    __table_args__: ClassVar[tuple[Index | dict[str, bool], ...]] = (
        Index(
            "openclaw_reservation_key",
            "key",
            unique=True,
            sqlite_where=text("key <> ''"),
            postgresql_where=text("key <> ''"),
        ),
        Index(
            "openclaw_reservation_expiry",
            "expires_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        {"sqlite_with_rowid": False},
    )

    id: str = Field(primary_key=True)
    key: str = ""
    path: str
    accounts: str
    held: str
    used: str = ""
    state: str = "pending"
    opened_at: str
    expires_at: str
    closed_at: str = ""


class RateRow(Table, table=True):
    """One call that counts against a limit: the ``number``-th of its ``key`` (a digest). Past ``until`` it is forgotten."""

    __tablename__: ClassVar[str] = "openclaw_rate"
    __table_args__: ClassVar[tuple[Index, ...]] = (Index("openclaw_rate_until", "until"),)

    key: str = Field(primary_key=True)
    seconds: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at: str
    until: str
