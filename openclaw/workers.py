"""Which process runs an action, and whether it still lives: how a running action is told from one that nobody will end.

A worker is one open gate. Before its first action it writes down its name and until when it vouches for being alive, by the
database's clock, and writes that anew in time while actions of its run. Who finds a running action of another worker takes
it for dead when that time is over; or at once, where both share a machine that says that the process has ended.

    INVARIANT: an action is noted as running in the same commit as, or after, the word of its worker.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from openclaw.action import utc
from openclaw.errors import StoreError
from openclaw.store import Statement, Store, Transaction
from openclaw.store.tables import ActionRow, Table, WorkerRow

LEASE = dt.timedelta(seconds=60)
"""For how long a worker vouches for being alive."""

BEAT_SECONDS = 20
"""How often it does so while it runs actions."""

_WORKER: sa.Table = Table.metadata.tables[str(WorkerRow.__tablename__)]
_ACTION: sa.Table = Table.metadata.tables[str(ActionRow.__tablename__)]


@dataclass(frozen=True, slots=True)
class Place:
    """A process among all of one machine: machine, process number and the moment of its birth, in the kernel's ticks."""

    machine: str
    pid: int
    born: int


class Worker:
    """This gate as one of the workers that share a store."""

    def __init__(self, store: Store, *, renew: Callable[[Transaction, str], object] | None = None) -> None:
        self._store = store
        self._renew = renew  # told with each beat, in its transaction: what the actions of this worker hold goes on
        self.id = store.clock.new_id("worker")
        self._until: dt.datetime | None = None
        self._heart: threading.Thread | None = None
        self._lock = threading.Lock()
        self._retired = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._store.closed

    def vouch(self, transaction: Transaction) -> None:
        """Say in ``transaction`` that this worker is alive, unless that is known for long enough already."""
        now = transaction.now
        if self._until is not None and self._until - now > LEASE / 2:
            return
        until = now + LEASE
        if not transaction.count(_RENEW, {"of_id": self.id, "to": utc(until)}):
            here = this_place()
            transaction.count(_FORGET, {"now": utc(now)})
            values = {"id": self.id, "machine": here.machine, "pid": here.pid, "born": here.born, "until": utc(until)}
            transaction.count(_ADD, values)
        transaction.after.append(lambda: self._vouched(until))

    def gone(self, transaction: Transaction, worker: str) -> bool:
        """Whether nobody of that name runs anything any more."""
        if worker == self.id:
            return False
        for row in transaction.rows(_FIND, {"of_id": worker}):
            place = Place(str(row["machine"]), int(str(row["pid"])), int(str(row["born"])))
            return str(row["until"]) < transaction.at or has_ended(place)
        return True

    def retire(self) -> None:
        """Nothing is run here any more: what is still running will not be ended by this worker."""
        self._retired.set()
        if self._until is not None:
            self._store.run(lambda transaction: transaction.count(_DROP, {"of_id": self.id}))
            self._until = None

    def beat(self) -> bool:
        """Vouch anew if actions run; whether they do."""
        if not self._store.fetch(_RUNNING, {"of_worker": self.id}):
            return False
        self._store.run(self._beat)
        return True

    def _beat(self, transaction: Transaction) -> None:
        self.vouch(transaction)
        if self._renew is not None:
            self._renew(transaction, self.id)

    def _vouched(self, until: dt.datetime) -> None:
        self._until = until
        with self._lock:
            if self._heart is None:
                self._heart = threading.Thread(
                    target=_keep_beating,
                    args=(weakref.ref(self), self._retired),
                    name="openclaw-worker",
                    daemon=True,
                )
                self._heart.start()

    def rest(self) -> None:
        """No actions run: the next one starts the beating again."""
        with self._lock:
            self._heart = None
            self._until = None  # so that the next action vouches, and by that starts it


def _keep_beating(reference: weakref.ref[Worker], retired: threading.Event) -> None:
    """Beat as long as there is something to beat for. Holds the worker only for a moment, so that it can go."""
    while not retired.wait(BEAT_SECONDS):
        worker = reference()
        if worker is None or worker.closed:
            return
        try:
            if not worker.beat():
                worker.rest()
                worker.beat()  # an action may have begun in between, in the belief that this thread goes on
                return
        except StoreError:
            pass  # nothing new runs meanwhile; what runs is taken for dead if the database fails for long
        del worker


@cache
def _machine() -> str:
    """A name under which the processes of this machine can be told apart by number and birth; empty if there is none.

    Linux: the boot and the process namespace; containers of one machine number their processes by themselves.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def this_place() -> Place:
    """Where this process is."""
    born = _born(os.getpid())
    return Place(_machine() if born is not None else "", os.getpid(), born or 0)


def has_ended(place: Place) -> bool:
    """Whether a process is known to have ended. False where that cannot be told from here."""
    return bool(place.machine) and place.machine == _machine() and _born(place.pid) != place.born


def _born(pid: int) -> int | None:
    """When a process of this machine was started (proc(5), field 22); None where there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


_FIND = Statement(sa.select(_WORKER).where(_WORKER.c.id == sa.bindparam("of_id")))
_ADD = Statement(sa.insert(_WORKER))
_RENEW = Statement(sa.update(_WORKER).where(_WORKER.c.id == sa.bindparam("of_id")).values(until=sa.bindparam("to")))
_FORGET = Statement(sa.delete(_WORKER).where(_WORKER.c.until < sa.bindparam("now")))
_DROP = Statement(sa.delete(_WORKER).where(_WORKER.c.id == sa.bindparam("of_id")))
_RUNNING = Statement(
    sa.select(_ACTION.c.seq)
    .where(_ACTION.c.state == sa.literal_column("'running'"), _ACTION.c.worker == sa.bindparam("of_worker"))
    .limit(sa.literal_column("1"))
)


__all__ = ["BEAT_SECONDS", "LEASE", "Worker", "has_ended", "this_place"]
