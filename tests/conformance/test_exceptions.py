"""Exceptions over all three engines: what each lifts through the gate, and what it does not, is the same."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openclaw.action import Action, Handoff, MemoryAccess, ModelCall, Principal, ToolCall
from openclaw.approvers import Approver
from openclaw.budget import Usage
from openclaw.gate import Outcome, Permit, Refusal, Request, Waiting
from openclaw.governance import Governance
from openclaw.policy.library import choose
from tests.policy.support import ENGINES

POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if input.kind in {"tool", "model", "handoff", "memory"}

held if {
	input.kind in {"tool", "model", "handoff", "memory"}
	not data.openclaw.policies.exceptions.lifted
}

deny contains "held" if {
	held
	not input.tool.name == "ask"
}

ask contains "a person decides" if {
	held
	input.tool.name == "ask"
}

deny contains "never" if input.tool.name == "wipe"
"""
WHO = Principal(agent="desk", chain=("desk",))
ACTIONS: dict[str, Callable[[str], Action]] = {
    "tool": lambda key: ToolCall(principal=WHO, name="restart", args={"host": "a"}, call_id=key),
    "ask": lambda key: ToolCall(principal=WHO, name="ask", args={}, call_id=key),
    "wipe": lambda key: ToolCall(principal=WHO, name="wipe", args={}, call_id=key),
    "model": lambda key: ModelCall(principal=WHO, name="small", provider="acme", call_id=key),
    "handoff": lambda key: Handoff(principal=WHO, name="transfer_to_ops", args={"agent": "ops"}, call_id=key),
    "memory": lambda key: MemoryAccess(principal=WHO, name="get", args={"namespace": ["a"], "key": "b"}, call_id=key),
}


@pytest.fixture(params=list(ENGINES))
def governance(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> Iterator[Governance]:
    folder = tmp_path / "policies"
    (folder / "exceptions").mkdir(parents=True)
    shutil.copy(choose(["exceptions"])[0].folder / "exceptions.rego", folder / "exceptions")
    settings = {"roles": ["on-call"], "seconds_max": 3600, "uses_max": 10}
    (folder / "exceptions" / "data.json").write_text(json.dumps(settings))
    (folder / "desk.rego").write_text(POLICY)

    def server() -> str:
        return str(request.getfixturevalue("opa_server"))

    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(ENGINES[request.param](folder, server, deadline_s=10))
        opened = stack.enter_context(Governance.open(store_url, policies=engine, key=tmp_path / "log.key"))
        opened.approvals.enroll(Approver(name="eva", roles=("on-call",)), by="root")
        yield opened


def answer(governance: Governance, which: str, key: str) -> Any:
    admission = governance.gate.admit(
        Request(action=ACTIONS[which](key), hold=Usage(calls=1), key=f"{which} {key}", can_wait=True)
    )
    if isinstance(admission, Permit):
        governance.gate.finish(admission, Outcome(status="done"))
        return "allow"
    if isinstance(admission, Waiting):
        return "ask"
    assert isinstance(admission, Refusal), admission
    return admission.error.reasons


def test_every_engine_lifts_the_same_for_every_kind_of_action(governance: Governance) -> None:
    plain = {name: answer(governance, name, "1") for name in ACTIONS}
    assert plain == {
        **dict.fromkeys(("tool", "model", "handoff", "memory"), ("held",)),
        "ask": "ask",
        "wipe": ("held", "never"),
    }
    nobody = governance.exceptions.open(agent="desk", by="tom", reason="me", uses=9)
    objection = "whoever opened the exception has none of the roles that may"
    told = {name: answer(governance, name, "2") for name in ACTIONS}
    assert told == {
        **dict.fromkeys(("tool", "model", "handoff", "memory"), ("held", objection)),
        "ask": "ask",
        "wipe": ("held", "never", objection),
    }
    assert governance.exceptions.get(nobody.id).used == 0
    opened = governance.exceptions.open(agent="desk", by="eva", reason="the desk is down", uses=5)
    lifted = {name: answer(governance, name, "3") for name in ACTIONS}
    assert lifted == {**dict.fromkeys(ACTIONS, "allow"), "wipe": ("never",)}
    assert governance.exceptions.get(opened.id).used == 5
    governance.gate.flush()
    assert governance.audit.verify().ok
