"""A process to be killed: governed calls, one after another, each with an effect that can be counted from outside."""

from __future__ import annotations

import os
import sys

from openclaw.action import Principal, Run, ToolCall
from openclaw.budget import Usage
from openclaw.gate import Outcome, Permit, Request
from openclaw.governance import Governance


def main(url: str, policies: str, key: str, effects: str) -> None:
    principal, run = Principal(agent="clerk", workflow="desk"), Run(id=f"run-{os.getpid()}")
    descriptor = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Governance.open(url, policies=policies, key=key) as governance:
        for number in range(100_000):
            call = f"{os.getpid()}-{number}"
            action = ToolCall(principal=principal, name="note", args={"number": number}, call_id=call)
            permit = governance.gate.admit(Request(action=action, run=run, hold=Usage(calls=1), key=call))
            if not isinstance(permit, Permit):
                continue  # an engine that is slow to wake may miss its deadline once
            os.write(descriptor, f"{call}\n".encode())
            if number < 5:
                print("busy", flush=True)
            governance.gate.finish(permit, Outcome(status="done", usage=Usage(calls=1), result=number))


if __name__ == "__main__":
    main(*sys.argv[1:])
