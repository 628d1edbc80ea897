"""Why a recorded call was answered so: decided again, and what else would have been answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from openclaw.audit.standing import standing
from openclaw.errors import AuditError, PolicyError
from openclaw.policy import regorus
from openclaw.policy.archive import pack
from openclaw.policy.bundle import Bundle
from openclaw.policy.explain import explain
from openclaw.policy.regorus import RegorusEngine
from openclaw.review.account import account
from openclaw.review.otherwise import ANOTHER, differences
from tests.conftest import require
from tests.policy.support import HOW_NATIVE
from tests.support.sqlite_files import sqlite_file
from tests.support.story import DESK_REGO, tell_on, told


@pytest.fixture(autouse=True)
def native() -> None:
    require("native", regorus.available(), HOW_NATIVE)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desk.rego").write_text(DESK_REGO)
    return tmp_path / "policies"


def flips(folder: Path, rules: str, document: dict) -> dict[tuple[str, str], tuple]:  # type: ignore[type-arg]
    (folder / "p").mkdir(exist_ok=True)
    (folder / "p" / "main.rego").write_text(f"package openclaw.policies.main\n\nimport rego.v1\n\n{rules}\n")
    bundle = Bundle.read(folder / "p")
    found = differences(RegorusEngine(bundle), document, explain(bundle, document, every=True))
    return {(one.path, one.effect): one.after for one in found}


def test_decisions_are_accounted_for_on_every_store(store_url: str, tmp_path: Path, policies: Path) -> None:
    with told(store_url, tmp_path, policies=policies) as story:
        tell_on(story)
        log = story.governance.audit
        found = account(log, 12, policies)
        assert (found.again, found.same_policy, found.recorded.decided_by) == ("same", True, "policy")
        assert [(one.effect, one.path, one.before, one.after) for one in found.differences] == [
            ("allow", "tool.args.amount", (120,), (50,))
        ]
        assert account(log, 13).recorded.seq == 12  # the answer of a person is about the question
        assert account(log, 15).recorded.seq == 14  # an outcome is about its decision
        refused = account(log, 21, policies)
        assert (refused.recorded.decided_by, refused.recorded.policy_effect, refused.again) == (
            "budget",
            "allow",
            "same",
        )
        with pytest.raises(AuditError, match="entry 1 is a policy, and about no decision"):
            account(log, 1)


def test_other_policies_are_called_so(tmp_path: Path, policies: Path) -> None:
    with told(f"sqlite:///{tmp_path / 'a.db'}", tmp_path, policies=policies) as story:
        (policies / "desk.rego").write_text(DESK_REGO.replace("> 50", "> 30"))
        found = account(story.governance.audit, 9, policies)
        assert (found.again, found.same_policy) == ("other", False)
        assert [(one.effect, one.after) for one in found.differences] == [("allow", (30,))]


def test_a_bundle_is_as_good_as_its_folder(tmp_path: Path, policies: Path) -> None:
    bundle = tmp_path / "desk.tar.gz"
    bundle.write_bytes(pack({"desk.rego": DESK_REGO.encode()}))
    with told(f"sqlite:///{tmp_path / 'a.db'}", tmp_path, policies=policies) as story:
        assert account(story.governance.audit, 11, bundle).same_policy
        with pytest.raises(PolicyError):
            account(story.governance.audit, 11, tmp_path / "missing.tar.gz")


def test_what_was_masked_cannot_be_decided_again(tmp_path: Path) -> None:
    folder = tmp_path / "masking"
    folder.mkdir()
    (folder / "desk.rego").write_text(
        DESK_REGO + '\noblige contains {"kind": "mask", "fields": ["tool.args.account"]}\n'
    )
    with told(f"sqlite:///{tmp_path / 'a.db'}", tmp_path, policies=folder) as story:
        found = account(story.governance.audit, 11, folder)
        assert (found.again, found.explanation, found.differences) == ("undecidable", None, ())


def test_a_number_goes_to_the_limit_and_a_role_is_added(tmp_path: Path) -> None:
    rules = 'allow if {\n\tinput.tool.args.amount <= 100\n\t"payer" in input.principal.roles\n}'
    pay = {"kind": "tool", "tool": {"name": "pay", "args": {"amount": 90}}, "principal": {"roles": ["reader"]}}
    assert flips(tmp_path, rules, pay) == {("principal.roles", "allow"): (["reader", "payer"],)}
    pay["principal"] = {"roles": ["payer"]}
    assert flips(tmp_path, rules, pay) == {
        ("tool.args.amount", "deny"): (101,),
        ("principal.roles", "deny"): ([],),
    }


def test_a_text_that_is_forbidden_may_be_any_other(tmp_path: Path) -> None:
    rules = 'allow if true\ndeny contains "no" if input.tool.args.host == "evil.example"'
    call = {"kind": "tool", "tool": {"name": "get", "args": {"host": "evil.example"}}}
    assert flips(tmp_path, rules, call) == {("tool.args.host", "allow"): (ANOTHER,)}


def test_a_limit_in_the_data_is_tried_too(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "data.json").write_text('{"limits": {"amount": 70}}')
    rules = 'allow if true\ndeny contains "no" if input.tool.args.amount > data.limits.amount'
    call = {"kind": "tool", "tool": {"name": "pay", "args": {"amount": 500}}}
    assert flips(tmp_path, rules, call) == {("tool.args.amount", "allow"): (70,)}


def test_an_entry_stands_as_far_as_can_be_told(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        store, log = story.governance.gate._store, story.governance.audit
        assert standing(store, log, 5).verdict == "pending"
        log.checkpoint()
        found = standing(store, log, 5)
        assert (found.verdict, found.size, found.checkpoint) == ("holds", 15, 16)
        assert standing(store, log, 16).verdict == "pending"  # a checkpoint does not cover itself
        with pytest.raises(AuditError, match="there is no entry 99"):
            standing(store, log, 99)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE openclaw_entry SET agent = 'x' WHERE seq = 5", "does not fit its leaf hash"),
        ("UPDATE openclaw_entry SET nodes = zeroblob(64) WHERE seq = 4", "the log was changed"),
        ("UPDATE openclaw_entry SET nodes = NULL WHERE seq = 8", "is not in the database"),
    ],
)
def test_an_entry_of_a_changed_log_is_broken(change: str, says: str, sqlite_url: str, tmp_path: Path) -> None:
    with told(sqlite_url, tmp_path) as story:
        store, log = story.governance.gate._store, story.governance.audit
        log.checkpoint()
        with sqlite_file(tmp_path / "openclaw.db") as database:
            database.execute(change)
        found = standing(store, log, 5)
        assert found.verdict == "broken"
        assert says in found.told
