"""A gate over real parts: a real engine with a small policy, and each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openclaw.governance import Governance

POLICY = """\
package openclaw.policies.desk

import rego.v1

allow if input.kind == "model"

allow if input.tool.name in {"lookup", "refund", "note"}

ask contains "a large refund needs a person" if {
	input.tool.name == "refund"
	input.tool.args.amount > 100
}

deny contains "refunds stop at 1000" if {
	input.tool.name == "refund"
	input.tool.args.amount > 1000
}

deny contains "frozen" if {
	input.approval.by == "mallory"
}

oblige contains {"kind": "mask", "fields": ["args.iban"]} if input.tool.name == "refund"

oblige contains {"kind": "rewrite", "args": {"limit": 10}} if input.tool.args.limit > 10

oblige contains {"kind": "charge", "microusd": 500} if input.tool.args.paid

oblige contains {"kind": "audit", "level": "metadata"} if input.tool.args.secret

oblige contains {"kind": "audit", "level": "full"} if input.tool.args.open

oblige contains {"kind": "route", "site": "eu"} if input.tool.args.routed

oblige contains {"kind": "mask", "fields": "oops"} if input.tool.args.broken
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A policy folder."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "desk.rego").write_text(POLICY)
    return folder


@pytest.fixture
def governance(store_url: str, policies: Path, tmp_path: Path) -> Iterator[Governance]:
    """A governance over the policy and each kind of store."""
    with Governance.open(store_url, policies=policies, key=tmp_path / "log.key") as opened:
        yield opened
