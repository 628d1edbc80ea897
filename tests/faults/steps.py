"""A program that is killed at a numbered step of the gate: every statement, commit and stage of a few governed calls.

It forks one process for each line that it reads: ``URL FOLDER NUMBER STEP``. That process opens the governance, passes the
gate with every kind of call, and kills itself (SIGKILL) at its ``STEP``-th step, or at the first of that name; 0 counts them.
The steps are set in this program alone, around the gate as it is shipped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openclaw.action import Principal, Run, ToolCall
from openclaw.budget import Usage
from openclaw.gate import Gate, Outcome, Permit, Request, Waiting
from openclaw.governance import Governance
from openclaw.policy import Bundle, PolicyEngine
from openclaw.policy.embedded import open_bundle
from openclaw.store import Store

COUNTING = "0"

CALLS = ("plain", "refused", "asked", "lifted", "failing", "async", "kept")
"""The calls of one process, in their order."""


class Steps:
    """Counts steps, and dies at one of them."""

    def __init__(self, deadly: str, told: int) -> None:
        self._deadly = deadly
        self._told = told
        self._lock = threading.Lock()
        self.names: list[str] = []
        self.armed = False

    def at(self, name: str) -> None:
        if not self.armed:
            return
        with self._lock:
            self.names.append(name)
            if self._deadly in (name, str(len(self.names))):
                self.die(name)

    def die(self, name: str) -> None:
        os.write(self._told, f"{len(self.names)} {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, method: str, name: str) -> None:
        """A step before and a step after every call of a method."""
        whole: Callable[..., Any] = getattr(owner, method)

        def stepping(*args: Any, **kwargs: Any) -> Any:
            self.at(f"before {name}")
            result = whole(*args, **kwargs)
            self.at(f"after {name}")
            return result

        setattr(owner, method, stepping)

    def over(self, gate: Gate, store: Store) -> None:
        """Set the steps."""
        for method, name in (("_look", "look"), ("_evaluate", "decide"), ("_pass", "pass"), ("_finish", "settle")):
            self.around(gate, method, name)
        self.around(gate._ledger, "hold", "reserve")
        self.around(gate._ledger, "post", "post")
        self.around(gate._log, "record", "entry")
        self.around(gate._approvals, "claim", "claim")
        self.around(gate.exceptions, "covering", "cover")
        self.around(gate.exceptions, "claim", "except")
        begin = store._writer._begin

        def begun(connection: Any) -> Any:
            self.at("before BEGIN")
            transaction = begin(connection)
            self.at("after BEGIN")
            transaction.cursor = Cursor(transaction.cursor, self)
            return transaction

        store._writer._begin = begun  # type: ignore[method-assign]


class Cursor:
    """A cursor with a step before and after every statement."""

    def __init__(self, cursor: Any, steps: Steps) -> None:
        self._cursor = cursor
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, parameters: Any) -> Any:
        return self._around(self._cursor.execute, sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        return self._around(self._cursor.executemany, sql, parameters)

    def _around(self, run: Callable[..., Any], sql: str, parameters: Any) -> Any:
        words = sql.split()
        name = " ".join([words[0], *(word for word in words if word.startswith("openclaw_"))][:2])
        self._steps.at(f"before {name}")
        result = run(sql, parameters)
        self._steps.at(f"after {name}")
        return result


def engine(folder: str) -> PolicyEngine:
    """The policies, with all the time that they need: the machine may be busy, and a late answer is a refusal."""
    return open_bundle(Bundle.read(Path(folder) / "policies"), deadline_s=60)


def request(number: int, which: str, run: Run) -> Request:
    """One of the calls; two processes of one number ask for the very same ones."""
    principal = Principal(agent=f"clerk-{number}", workflow="desk")
    call = f"{number}-{which}"
    action = ToolCall(principal=principal, name=which, args={"number": number}, call_id=call)
    return Request(action=action, run=run, hold=Usage(calls=1), key=call, can_wait=True)


def act(governance: Governance, asked: Request, effects: int, step: Callable[[str], None]) -> object:
    """One governed call with its effect; what the gate answered first."""
    gate = governance.gate
    whole = asyncio.run(gate.aadmit(asked)) if asked.action.name == "async" else gate.admit(asked)
    answer = whole
    if isinstance(answer, Waiting):
        step("waiting")
        governance.approvals.approve(answer.approval, by="ann")
        answer = gate.admit(asked)
    step("answered")
    if not isinstance(answer, Permit):
        return whole
    os.write(effects, f"{asked.action.call_id}\n".encode())
    step("acted")
    failed = asked.action.name == "failing"
    outcome = Outcome(
        status="failed" if failed else "done",
        usage=Usage(calls=1),
        result=None if failed else 1,
        error="ValueError: no" if failed else "",
        replay=b"kept" if asked.action.name == "kept" else b"",
    )
    gate.finish(answer, outcome)
    step("finished")
    return whole


def work(url: str, folder: str, number: int, deadly: str, told: int) -> None:
    """The life of one process."""
    steps = Steps(deadly, told)
    effects = os.open(f"{folder}/effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Governance.open(url, policies=engine(folder), key=f"{folder}/key") as governance:
        steps.over(governance.gate, governance._store)
        run = governance.gate.open_run(workflow="desk", thread=f"thread-{number}", resumed=False)
        governance.exceptions.open(agent=f"clerk-{number}", by="ann", reason="the desk is down")
        steps.armed = True
        for which in CALLS:
            act(governance, request(number, which, run), effects, steps.at)
        governance.gate.flush()
    if deadly != COUNTING:
        steps.die("the end")
    os.write(told, f"{len(steps.names)} counted\n".encode())


def main() -> None:
    for line in sys.stdin:
        url, folder, number, deadly = line.split()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(url, folder, int(number), deadly, sys.stdout.fileno())
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        os.write(sys.stdout.fileno(), f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
