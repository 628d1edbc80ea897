"""Policies that are followed: what is good decides from the next call on, what is bad is recorded and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw import Governance, Principal, ToolCall
from openclaw.errors import ConfigurationError
from openclaw.policy import PolicyFolder

ALLOW = "package openclaw.policies.desk\n\nallow if input.kind == {kind}\n"
CALL = ToolCall(principal=Principal(agent="clerk"), name="read")


def write(folder: Path, text: str, name: str = "desk.rego") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def test_what_changes_is_checked_tested_recorded_and_decides(tmp_path: Path, store_url: str) -> None:
    folder = tmp_path / "policies"
    write(folder, ALLOW.format(kind='"tool"'))
    with Governance.open(store_url, policies=PolicyFolder(folder), key=tmp_path / "key") as governance:
        first = governance.policy.revision
        assert governance.decide(CALL).allowed
        assert governance.reload().outcome == "unchanged"
        write(folder, ALLOW.format(kind='"model"'))
        assert governance.reload().outcome == "replaced"
        second = governance.policy.revision
        assert second != first
        assert not governance.decide(CALL).allowed
        assert governance.decide(CALL).revision == second

        write(folder, "package openclaw.policies.desk\n\nallow if {\n")
        found = governance.reload()
        assert found.outcome == "refused"
        assert any("desk.rego:" in reason for reason in found.reasons)
        write(folder, ALLOW.format(kind='"tool"'))
        write(folder, "package openclaw.policies.desk_test\n\ntest_it if false\n", "desk_test.rego")
        assert governance.reload().outcome == "refused"
        assert governance.policy.revision == second
        bodies = [entry.body for entry in governance.audit.entries(kind="policy")]
        assert [body.get("outcome") for body in bodies] == [None, "replaced", "refused", "refused"]
        assert bodies[2]["reasons"] == list(found.reasons)
    (folder / "desk_test.rego").unlink()
    write(folder, ALLOW.format(kind='"model"'))
    with Governance.open(store_url, policies=PolicyFolder(folder), key=tmp_path / "key") as governance:
        assert len(governance.audit.entries(kind="policy")) == 4, "what decided before the refusals decides again"


def test_a_plain_folder_is_read_once(tmp_path: Path, sqlite_url: str) -> None:
    write(tmp_path / "policies", ALLOW.format(kind='"tool"'))
    with (
        Governance.open(sqlite_url, policies=tmp_path / "policies") as governance,
        pytest.raises(ConfigurationError, match="not followed"),
    ):
        governance.reload()
