"""A person's answer to a question, given once and recorded in the commit that gives it."""

from __future__ import annotations

from pydantic import JsonValue

from openclaw.approvals import Approval, Approvals
from openclaw.audit import AuditLog, Draft
from openclaw.errors import ApprovalError
from openclaw.store import Store, Transaction


def give_answer(
    store: Store, log: AuditLog, approvals: Approvals, approval: str, *, by: str, approve: bool, reason: str = ""
) -> Approval:
    """Answer a question in somebody's name and record it, in one commit: what ``Gate.answer`` and the command line do.

    Raises:
        ApprovalError: there is no such question, it has been answered, its time is over, or nobody is named.
        AuditError: the log was opened without its key, and the reason holds what only the key can hide.
    """
    if not by.strip():
        raise ApprovalError("an answer needs a name", hint="say who gives it: `by=`, or `--by NAME`")

    reason = log.text(reason)

    def unit(transaction: Transaction) -> Approval:
        answered = approvals.answer(transaction, approval, by=by, approve=approve, reason=reason)
        body: dict[str, JsonValue] = {
            "approval": approval,
            "decision": answered.seq,
            "answer": answered.state,
            "by": by,
            "reason": reason,
            "args_digest": answered.args_digest,
        }
        draft = Draft(kind="approval", run=answered.run, agent=answered.agent, tool=answered.tool, body=body)
        log.record(transaction, draft)
        return answered

    return store.run(unit)
