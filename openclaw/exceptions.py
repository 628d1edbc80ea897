"""The exceptions in a store: a named person opens one, the gate uses it, the log keeps all of it (``openclaw.breakglass``).

An exception allows nothing by itself. Where the policy has refused an action that an open one covers, the gate asks the policy
once more, with the exception in its input; a policy that lifts something for exceptions says so, and what it does not lift
stays refused.

    INVARIANT: a use is claimed in the transaction that records the decision which it lifts: never more than were given, by
        the database's clock.
    INVARIANT: a row counts only with its entry of the log behind it. It must say what that entry says, carry the seal that
        the key of the log has made of it or the signature of whoever opened it, and agree with the log about its uses and
        its end.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import cast

import sqlalchemy as sa
from pydantic import JsonValue

from openclaw.action import Action, utc
from openclaw.approvers import Approvers, how_proved, sign
from openclaw.audit import AuditLog, Draft, SigningKey
from openclaw.audit.entry import Line, entry_leaf
from openclaw.audit.mask import hides
from openclaw.breakglass import (
    SECONDS_DEFAULT,
    SECONDS_MAX,
    Excepted,
    Lift,
    PolicyException,
    Scope,
    State,
    check,
    over,
    statement,
)
from openclaw.canonical import storable
from openclaw.errors import ApprovalError, AuditError, ConfigurationError, OpenClawError, Refused
from openclaw.quorum import Voice
from openclaw.store import Row, Statement, Store, Transaction
from openclaw.store.tables import EntryRow, ExceptionRow, ExceptionUseRow, Table

TRIED_MAX = 10
"""Exceptions that are tried for one action, the narrowest first."""


class Exceptions:
    """The exceptions in a store. Methods that take a transaction join it. ``authenticated``: those of whom nothing proves who
    opened them count for nothing.
    """

    def __init__(self, store: Store, log: AuditLog, approvers: Approvers) -> None:
        self._store = store
        self._log = log
        self._approvers = approvers
        self.authenticated = False

    # -- people --------------------------------------------------------------------------------------------------

    def open(
        self,
        *,
        workflow: str = "",
        agent: str = "",
        tool: str = "",
        args: Sequence[str] = (),
        by: str,
        reason: str,
        uses: int = 1,
        seconds: int = SECONDS_DEFAULT,
        sign_with: SigningKey | None = None,
        token: str = "",
    ) -> PolicyException:
        """Open an exception in somebody's name; recorded, and in the review queue until somebody else has reviewed it.

        Args:
            workflow, agent, tool, args: what it covers (``Scope``); one name at least.
            by: who opens it. Who is enrolled with a key or a token proves it.
            reason: why.
            uses: how many actions may pass under it.
            seconds: how long it stands, from now on.
            sign_with: their key.
            token: their token.

        Raises:
            ConfigurationError: it has no scope, no reason or no name, or is longer or larger than exceptions may be.
            ApprovalError: it is not proved who opens it; that is recorded too.
            AuditError: the log was opened without its key, and nothing is signed.
        """
        drafted = self.draft(
            Scope(workflow=workflow, agent=agent, tool=tool, args=tuple(args)),
            by=by,
            reason=reason,
            uses=uses,
            seconds=seconds,
        )
        signed = sign(self.statement(drafted), sign_with) if sign_with is not None else ""
        return self.commit(drafted, signed=signed, token="" if signed else token)

    def draft(
        self, scope: Scope, *, by: str, reason: str, uses: int = 1, seconds: int = SECONDS_DEFAULT
    ) -> PolicyException:
        """An exception that is not open yet, for whoever signs elsewhere: sign its ``statement`` and ``commit`` it.

        Raises:
            ConfigurationError: as ``open``.
            AuditError: the log was opened without its key, and the reason holds what only the key can hide.
        """
        check(scope, by=by, reason=reason, uses=uses, seconds=seconds)
        if any(hides(text) for text in map(self._log.text, scope.args)):
            raise ConfigurationError(
                "a condition holds what looks like a secret, and it is recorded as it is written",
                hint="name the tool and the agent, and leave the secret out",
            )
        now = self._store.run(lambda transaction: transaction.now)  # the database's clock judges it
        return PolicyException(
            id=self._store.clock.new_id("exc"),
            scope=scope,
            uses=uses,
            by=by.strip(),
            reason=self._log.text(reason.strip()),
            opened_at=now,
            expires_at=now + dt.timedelta(seconds=seconds),
        )

    def statement(self, drafted: PolicyException) -> str:
        """What whoever opens an exception states: the text that their key signs."""
        return statement(self._log.origin, drafted)

    def commit(self, drafted: PolicyException, *, signed: str = "", token: str = "") -> PolicyException:
        """Open what was drafted.

        Raises:
            ConfigurationError: it was opened already, or its time is over.
            ApprovalError: it is not proved who opens it; that is recorded too.
            AuditError: the log was opened without its key, and nothing is signed.
        """
        check(drafted.scope, by=drafted.by, reason=drafted.reason, uses=drafted.uses, seconds=drafted.seconds)
        stated = self.statement(drafted)

        def unit(transaction: Transaction) -> PolicyException | ApprovalError | ConfigurationError:
            left = (drafted.expires_at - transaction.now).total_seconds()
            if transaction.rows(_BY_ID, {"of": drafted.id}) or not 0 < left <= SECONDS_MAX:
                return ConfigurationError(
                    f"`{drafted.id}` was opened already, or its time is over", hint="draft another exception"
                )
            try:
                voice, proof = self._approvers.prove(
                    drafted.by,
                    stated,
                    signed=signed,
                    token=token,
                    needed=self.authenticated,
                    transaction=transaction,
                    act="exception",
                )
            except ApprovalError as error:
                self._record(transaction, drafted, "refused", by=drafted.by, reason=error.message)
                return error
            now = {"opened_at": transaction.now, "proof": proof, "seal": self._seal(stated, proof)}
            opened = drafted.model_copy(update=now)
            seq = self._record(
                transaction,
                opened,
                "opened",
                **_opened(opened),
                **self._approvers.recorded(voice, opened.by, opened.proof, transaction),
            )
            transaction.count(_ADD, {**_row(opened), "seq": seq})
            return opened.model_copy(update={"seq": seq})

        opened = self._store.run(unit)
        if not isinstance(opened, PolicyException):
            raise opened
        return opened

    def close(self, exception: str, *, by: str, reason: str = "") -> PolicyException:
        """Close an exception before its time; recorded. Anybody may: it only takes away.

        Raises:
            ConfigurationError: nobody is named.
            ApprovalError: there is no such exception, or it is not open any more.
        """
        if not by.strip():
            raise ConfigurationError("nobody is named", hint="say who closes it: `by=`, or `--by NAME`")
        why = self._log.text(reason.strip())

        def unit(transaction: Transaction) -> PolicyException | ApprovalError:
            found = [_exception(row) for row in transaction.rows(_BY_ID, {"of": exception})]
            if not found:
                return _unknown(exception)
            state = found[0].state(transaction.now)
            if state in ("closed", "expired"):
                return ApprovalError(f"`{exception}` is {state} already", hint="see `openclaw exceptions list --all`")
            said: dict[str, JsonValue] = {"opened": found[0].seq, "used": found[0].used, "by": by, "reason": why}
            self._record(transaction, found[0], "closed", **said)
            transaction.count(_CLOSE, {"of": exception, "at": transaction.at, "who": by})
            return found[0].model_copy(update={"closed_at": transaction.now, "closed_by": by})

        closed = self._store.run(unit)
        if isinstance(closed, ApprovalError):
            raise closed
        return closed

    def get(self, exception: str) -> PolicyException:
        """One exception.

        Raises:
            ApprovalError: there is none of that name.
        """
        rows = self._store.fetch(_BY_ID, {"of": exception})
        if not rows:
            raise _unknown(exception)
        return _exception(rows[0])

    def list(self, state: State | None = "open") -> list[PolicyException]:
        """The exceptions in one state, or all of them, oldest first."""
        now = self._store.clock.now()
        found = map(_exception, self._store.fetch(_OF_STATE[state], {} if state is None else {"now": utc(now)}))
        return [it for it in found if state in (None, it.state(now))]

    def fault(self, exception: str) -> str:
        """Why an exception counts for nothing whatever it covers; empty where it counts.

        Without the key of the log its seal is not looked at.

        Raises:
            ApprovalError: there is none of that name.
        """
        rows = self._store.fetch(_CHECKED, {"of": exception, "of_key": ""})
        if not rows:
            raise _unknown(exception)
        it = _exception(rows[0])
        stated = self.statement(it)
        try:
            unsealed = self._unsealed(it, stated)
        except AuditError:
            unsealed = ""  # without the key nobody can tell
        return self._not_as_recorded(rows[0], it) or unsealed or self._unproved(it, stated)[1]

    # -- the gate ------------------------------------------------------------------------------------------------

    def covering(self, action: Action, args: Mapping[str, JsonValue] | None, key: str | None) -> list[Lift]:
        """The exceptions that stand and cover an action, the narrowest first; also those that do not count, and why.

        Args:
            action: what is to be done.
            args: its arguments as the policy sees them; None where it has none.
            key: of its execution, if it has one.
        """
        principal = action.principal
        names = {"workflow": principal.workflow, "agent": principal.agent, "tool": action.name}
        asked = {f"of_{name}": storable(value) for name, value in names.items()}
        rows = self._store.fetch(_COVERING, {**asked, "now": utc(self._store.clock.now()), "of_key": key or ""})
        found = [(row, it) for row in rows if (it := _exception(row)).scope.covers(action, args)]
        found.sort(key=lambda one: (one[1].used >= one[1].uses, -len(one[1].scope.present()), -one[1].seq))
        return [self._lift(row, it) for row, it in found[:TRIED_MAX]]

    def claim(self, transaction: Transaction, excepted: Excepted, key: str | None, *, goes_on: bool) -> Refused | None:
        """Use an exception once. What goes on after it has waited has its use already.

        Returns:
            The refusal where it cannot be used any more: somebody else was quicker, it was closed, or its time is over.
        """
        it = excepted.lift.exception
        if goes_on and self._number(transaction, it.id, key):
            return None
        bound = {"of": it.id, "seal_seen": it.seal, "most": it.uses, "until": utc(it.expires_at)}
        if transaction.count(_CLAIM, {**bound, "now": transaction.at}):
            return None
        rows = transaction.rows(_BY_ID, {"of": it.id})
        why = over(_exception(rows[0]), transaction.now) if rows else "is not there any more"
        reasons = (f"the exception `{it.id}` {why}", *excepted.plain.reasons)
        return Refused(reasons[0], source="exception", reasons=reasons, hint="see `openclaw exceptions list --all`")

    def number(self, transaction: Transaction, excepted: Excepted, key: str | None) -> int:
        """Which use of an exception was claimed in this transaction; that of ``key`` where it goes on under the one it has."""
        exception = excepted.lift.exception.id
        own = self._number(transaction, exception, key)
        return own or cast("int", transaction.rows(_BY_ID, {"of": exception})[0]["used"])

    def use(
        self, transaction: Transaction, said: Mapping[str, JsonValue], about: Line, seq: int, key: str | None
    ) -> None:
        """Record a claimed use, once.

        Args:
            transaction: the one that has claimed it.
            said: what the entry of the decision says of the exception.
            about: an entry about the same action.
            seq: the entry of the decision.
            key: of the execution, if it has one.
        """
        exception, number = said["id"], said["use"]
        if transaction.rows(_USE, {"of": exception, "at": number}):
            return  # it goes on under a use that it has
        transaction.count(_ADD_USE, {"exception": exception, "number": number, "key": key or "", "seq": seq})
        body: dict[str, JsonValue] = {"event": "used", "exception": exception, "decision": seq}
        body |= {name: said[name] for name in ("opened", "by", "use", "of", "plain")}
        self._log.record(transaction, about._replace(kind="exception", body=body))

    # -- checking ------------------------------------------------------------------------------------------------

    def _lift(self, row: Row, it: PolicyException) -> Lift:
        stated, own = self.statement(it), bool(row["own"])
        voice, unproved = self._unproved(it, stated)
        fault = self._not_as_recorded(row, it) or self._unsealed(it, stated) or unproved
        if not fault and it.used >= it.uses and not own:
            fault = over(it, it.opened_at)
        return Lift(it, voice, own, fault)

    def _unproved(self, it: PolicyException, stated: str) -> tuple[Voice, str]:
        """Who has opened it, as it counts now, and why that counts for nothing if it does."""
        voice = self._approvers.voice(it.by, stated, it.proof)
        if voice is None:
            return Voice(it.by), f"does not count: the key or the token of `{it.by}` is another one since, or none"
        if self.authenticated and not voice.authenticated:
            return voice, f"does not count: nothing proves that `{it.by}` has opened it"
        return voice, ""

    def _not_as_recorded(self, row: Row, it: PolicyException) -> str:
        """Why a row is not the exception that the log knows; empty where it is."""
        if row["entry_body"] is None:
            return f"does not count: there is no entry {it.seq} that opened it"
        raw, at = str(row["entry_body"]), str(row["entry_at"])
        line = Line("exception", *(str(row[f"entry_{name}"]) for name in _COLUMNS), {})  # pyright: ignore[reportCallIssue, reportArgumentType]
        intact = bytes(cast("bytes", row["entry_leaf"])) == entry_leaf(it.seq, at, line, raw.encode())
        body = _object(raw)
        says = {"event": "opened", "exception": it.id, **_opened(it)}
        if not intact or at != utc(it.opened_at) or any(body.get(name) != value for name, value in says.items()):
            return f"does not count: it is not what entry {it.seq} opened"
        if row["log_used"] != it.used or bool(row["log_closed"]) != (it.closed_at is not None):
            return "does not count: the log knows of other uses of it, or of its end"
        return ""

    def _unsealed(self, it: PolicyException, stated: str) -> str:
        if how_proved(it.proof) == "signature" or it.seal == self._seal(stated, it.proof):
            return ""
        return "does not count: the key of the log has not sealed it, or is another one since"

    def _seal(self, stated: str, proof: str) -> str:
        """The seal of the log's key on an exception; a signature does without.

        Raises:
            AuditError: the log was opened without its key, and nothing is signed.
        """
        try:
            return self._log.privacy.keyed([stated, proof])
        except AuditError as error:
            if how_proved(proof) == "signature":
                return ""
            raise AuditError(
                "an exception is sealed with the key of the log, which is not here",
                hint="name it with OPENCLAW_KEY, or sign as somebody who is enrolled with a key: `--sign-with FILE`",
            ) from error

    def _number(self, transaction: Transaction, exception: str, key: str | None) -> int:
        rows = transaction.rows(_LAST_USE, {"of": exception, "of_key": key}) if key else []
        return cast("int", rows[0]["number"]) if rows else 0

    # -- recording -----------------------------------------------------------------------------------------------

    def _record(self, transaction: Transaction, about: PolicyException, event: str, **said: JsonValue) -> int:
        body: dict[str, JsonValue] = {"event": event, "exception": about.id, **said}
        draft = Draft.model_validate({"kind": "exception", **about.scope.names(), "body": body})
        return self._log.record(transaction, draft)


def standing(store: Store) -> list[PolicyException]:
    """The exceptions that are neither over nor closed, oldest first."""
    return [_exception(row) for row in store.fetch(_STANDING, {"now": utc(store.clock.now())})]


def _unknown(exception: str) -> ApprovalError:
    return ApprovalError(f"there is no exception `{exception}`", hint="see `openclaw exceptions list --all`")


def _opened(it: PolicyException) -> dict[str, JsonValue]:
    """What an entry says of an exception that was opened, and its row must say too."""
    said: dict[str, JsonValue] = {"by": it.by, "reason": it.reason, "scope": it.scope.present(), "uses": it.uses}
    return {**said, "expires_at": utc(it.expires_at), "seal": it.seal}


def _row(it: PolicyException) -> dict[str, object]:
    times = {"opened_at": utc(it.opened_at), "expires_at": utc(it.expires_at), "closed_at": "", "closed_by": ""}
    told = it.model_dump(include={"id", "uses", "used", "by", "reason", "proof", "seal"})
    scope = {"workflow": it.scope.workflow, "agent": it.scope.agent, "tool": it.scope.tool}
    return {**told, **times, **scope, "args": json.dumps(it.scope.args)}


def _exception(row: Row) -> PolicyException:
    """The exception in a row.

    Raises:
        AuditError: the row holds none, as only a forged one does.
    """
    try:
        return _read(row)
    except (ValueError, TypeError, RecursionError, OpenClawError) as error:
        raise AuditError(
            f"the exception `{row['id']}` cannot be read: its row was changed",
            hint="see `openclaw audit list --kind exception`",
        ) from error


def _read(row: Row) -> PolicyException:
    texts = {name: str(row[name]) for name in ("id", "by", "reason", "closed_by", "proof", "seal")}
    names = {name: str(row[name]) for name in ("workflow", "agent", "tool")}
    return PolicyException.model_validate(
        {
            **texts,
            **{name: row[name] for name in ("seq", "uses", "used", "opened_at", "expires_at")},
            "closed_at": row["closed_at"] or None,
            "scope": Scope(**names, args=tuple(json.loads(str(row["args"])))),
        }
    )


def _object(text: str) -> dict[str, JsonValue]:
    try:
        found: JsonValue = json.loads(text)
    except (ValueError, RecursionError):  # somebody has changed it
        return {}
    return found if isinstance(found, dict) else {}


_COLUMNS = ("run", "workflow", "agent", "tool", "call_id", "effect")
_EXCEPTION: sa.Table = Table.metadata.tables[str(ExceptionRow.__tablename__)]
_USED: sa.Table = Table.metadata.tables[str(ExceptionUseRow.__tablename__)]
_ENTRY: sa.Table = Table.metadata.tables[str(EntryRow.__tablename__)]

_IS_OPEN = _EXCEPTION.c.closed_at == sa.literal_column("''")  # in the very words of its index
_BY_ID = Statement(sa.select(_EXCEPTION).where(_EXCEPTION.c.id == sa.bindparam("of")))
_ALL = Statement(sa.select(_EXCEPTION).order_by(_EXCEPTION.c.seq))
_STANDING = Statement(
    sa.select(_EXCEPTION).where(_IS_OPEN, _EXCEPTION.c.expires_at >= sa.bindparam("now")).order_by(_EXCEPTION.c.seq)
)
_OVER = Statement(
    sa.select(_EXCEPTION)
    .where(sa.or_(_EXCEPTION.c.closed_at != "", _EXCEPTION.c.expires_at < sa.bindparam("now")))
    .order_by(_EXCEPTION.c.seq)
)
_OF_STATE: Mapping[State | None, Statement] = {
    None: _ALL,
    "open": _STANDING,
    "spent": _STANDING,
    "expired": _OVER,
    "closed": _OVER,
}
_ADD = Statement(sa.insert(_EXCEPTION))
_CLOSE = Statement(
    sa.update(_EXCEPTION)
    .where(_EXCEPTION.c.id == sa.bindparam("of"))
    .values(closed_at=sa.bindparam("at"), closed_by=sa.bindparam("who"))
)
_CLAIM = Statement(
    sa.update(_EXCEPTION)
    .where(
        _EXCEPTION.c.id == sa.bindparam("of"),
        _IS_OPEN,
        _EXCEPTION.c.expires_at >= sa.bindparam("now"),
        _EXCEPTION.c.used < _EXCEPTION.c.uses,
        # It is still the one that was looked at.
        _EXCEPTION.c.seal == sa.bindparam("seal_seen"),
        _EXCEPTION.c.uses == sa.bindparam("most"),
        _EXCEPTION.c.expires_at == sa.bindparam("until"),
    )
    .values(used=_EXCEPTION.c.used + 1)
)
_ADD_USE = Statement(sa.insert(_USED))
_USE = Statement(
    sa.select(_USED.c.seq).where(_USED.c.exception == sa.bindparam("of"), _USED.c.number == sa.bindparam("at"))
)
_LAST_USE = Statement(
    sa.select(_USED.c.number)
    .where(_USED.c.exception == sa.bindparam("of"), _USED.c.key == sa.bindparam("of_key"))
    .order_by(_USED.c.number.desc())
    .limit(sa.literal_column("1"))
)


def _in_log(event: str) -> sa.ScalarSelect[int]:
    """How many entries tell of this event of an exception; ``event`` and ``exception`` are neighbours in their bodies."""
    later = _ENTRY.alias(f"later_{event}")
    told = sa.literal(f'%"event":"{event}","exception":"').concat(_EXCEPTION.c.id).concat(sa.literal('"%'))
    return (
        sa.select(sa.func.count())
        .select_from(later)
        .where(
            later.c.kind == sa.literal_column("'exception'"),
            # In the very words of the index of rare kinds.
            sa.literal_column(f"{later.name}.kind NOT IN ('decision', 'outcome')", sa.Boolean()),
            later.c.seq > _EXCEPTION.c.seq,
            later.c.body.like(told),
        )
        .scalar_subquery()
    )


# One statement is one moment: the row, its entry and what the log tells of it since belong together.
_RECORDED = sa.select(
    *_EXCEPTION.c,
    *(_ENTRY.c[name].label(f"entry_{name}") for name in ("at", "body", "leaf", *_COLUMNS)),
    _in_log("used").label("log_used"),
    _in_log("closed").label("log_closed"),
    sa.exists()
    .where(_USED.c.exception == _EXCEPTION.c.id, _USED.c.key == sa.bindparam("of_key"), _USED.c.key != "")
    .label("own"),
).select_from(
    _EXCEPTION.outerjoin(
        _ENTRY, sa.and_(_ENTRY.c.seq == _EXCEPTION.c.seq, _ENTRY.c.kind == sa.literal_column("'exception'"))
    )
)
_CHECKED = Statement(_RECORDED.where(_EXCEPTION.c.id == sa.bindparam("of")))
_COVERING = Statement(
    _RECORDED.where(
        _IS_OPEN,
        _EXCEPTION.c.expires_at >= sa.bindparam("now"),
        *(
            sa.or_(_EXCEPTION.c[name] == "", _EXCEPTION.c[name] == sa.bindparam(f"of_{name}"))
            for name in ("workflow", "agent", "tool")
        ),
    )
)


__all__ = ["TRIED_MAX", "Exceptions", "standing"]
