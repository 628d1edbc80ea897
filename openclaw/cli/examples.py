"""Examples of every command, for its ``--help``. A test runs each of them on a real database."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("openclaw demo", "openclaw demo --help"),
    "doctor": ("openclaw doctor", "openclaw doctor --store sqlite:///openclaw.db --json"),
    "ui": ("openclaw ui", "openclaw ui --by eva --policies policies"),
    "halt": (
        "openclaw halt --agent refunds --by eva --reason 'odd refunds'",
        "openclaw halt --all --by eva",
    ),
    "resume": ("openclaw resume --agent refunds --by tom --reason 'looked at'", "openclaw resume --all --by tom"),
    "halts": ("openclaw halts", "openclaw halts --json"),
    "schema": ("openclaw schema input", "openclaw schema decision > decision.schema.json"),
    "review": (
        "openclaw review",
        "openclaw review --since 7d --agent refunds --json",
        "openclaw review --by eva",
    ),
    "audit list": (
        "openclaw audit list --since 2h --effect deny",
        "openclaw audit list --tool refund --arg 'amount>100' --columns seq,at,agent,args.amount,reason",
        """openclaw audit list --where 'effect in ("ask", "deny") and not args.order == "A-17"' --csv""",
        "openclaw audit list --effect deny --columns seq,agent,reason --save denials",
    ),
    "audit tail": ("openclaw audit tail", "openclaw audit tail -f --effect deny --json"),
    "audit show": ("openclaw audit show 11", "openclaw audit show 11 --json", "openclaw audit show 13 --reveal"),
    "audit explain": ("openclaw audit explain 12", "openclaw audit explain 12 --policies policies --json"),
    "audit open": ("openclaw audit open", "openclaw audit open --json"),
    "audit timeline": ("openclaw audit timeline", "openclaw audit timeline run-0001 --svg run.svg --png run.png"),
    "audit stats": (
        "openclaw audit stats",
        "openclaw audit stats --since 30d --tool refund --top 5",
        "openclaw audit stats --since 2026-11-01 --until 2026-12-01 --json",
    ),
    "audit diff": (
        "openclaw audit diff run-0001 run-0002",
        "openclaw audit diff 14d..7d 7d..",
        "openclaw audit diff 2026-10-01..2026-11-01 2026-11-01..2026-12-01 --json",
    ),
    "audit query": (
        """openclaw audit query "SELECT agent, count(*) FROM openclaw_entry GROUP BY agent\"""",
        "openclaw audit query \"SELECT seq, body ->> '$.input.tool.args.amount' AS amount FROM openclaw_entry"
        " WHERE tool = 'refund'\"",
        "openclaw audit query --csv --all - < question.sql",
    ),
    "audit note": (
        "openclaw audit note 11 --by eva --verdict agreed --comment 'not the account of the customer'",
        "openclaw audit note 18 --by eva --flag fraud --flag quarterly",
    ),
    "audit report": (
        "openclaw audit report --period 2026-Q4 --out report.html",
        "openclaw audit report --period 2026-11-01..2026-12-01 --out november.pdf --policies policies",
        "openclaw audit report --period 7d.. --out week.md --key openclaw.db.key",
    ),
    "audit verify": (
        "openclaw audit verify",
        "openclaw audit verify --inside-only --json",
        "openclaw audit verify proof.json --public-key NAME+ID+KEY",
    ),
    "audit prove": ("openclaw audit prove 11 > proof.json", "openclaw audit prove --from 22"),
    "audit checkpoint": ("openclaw audit checkpoint", "openclaw audit checkpoint --json"),
    "audit rotate-key": (
        "openclaw audit rotate-key --by eva --reason yearly",
        "openclaw audit rotate-key --by eva --to new.key",
    ),
    "audit prune": (
        "openclaw audit prune --before 2026-11-23T10:01:00Z --minimum-age 0 --dry-run",
        "openclaw audit prune --before 2026-11-23T10:01:00Z --minimum-age 0 --by eva --reason retention",
    ),
    "audit lookup": ("openclaw audit lookup DE-77", "openclaw audit lookup --json - < account.txt"),
    "audit forget": ("openclaw audit forget user:ada --by dpo --yes",),
    "audit export": (
        "openclaw audit export --to audit.jsonl",
        "openclaw audit export --kind policy --format cloudevents",
        "openclaw audit export --to https://collector.example:4318 --format otel --cursor otel --follow",
    ),
    "audit view list": ("openclaw audit view list", "openclaw audit view list --json"),
    "audit view remove": ("openclaw audit view remove denials",),
    "audit hold add": (
        "openclaw audit hold add --by eva --reason 'case 4711' --agent refunds",
        "openclaw audit hold add --by eva --reason 'case 4711' --run run-0001",
    ),
    "audit hold list": ("openclaw audit hold list", "openclaw audit hold list --json"),
    "audit hold release": ("openclaw audit hold release legal-hold-0001 --by eva --reason 'case closed'",),
    "budget list": ("openclaw budget list", "openclaw budget list --json"),
    "budget show": (
        "openclaw budget show org/default/workflow/returns/agent/refunds",
        "openclaw budget show org/default --json",
    ),
    "budget set": (
        "openclaw budget set org/default/workflow/returns/agent/refunds --calls 10 --usd 2.50 --window day",
        "openclaw budget set org/default --tokens 1000000 --window month",
    ),
    "budget audit": ("openclaw budget audit", "openclaw budget audit --json"),
    "budget report": (
        "openclaw budget report --by model --since 7d",
        "openclaw budget report --by day --since 2026-11-01 --until 2026-12-01 --csv",
        "openclaw budget report --since 2026-11-01 --focus > focus.csv",
    ),
    "budget forecast": (
        "openclaw budget forecast",
        "openclaw budget forecast org/default/workflow/returns/agent/refunds --over 6h",
    ),
    "budget reconcile": (
        "openclaw budget reconcile invoice.csv --tolerance 0.5%",
        "openclaw budget reconcile invoice.csv --provider acme --model large-2=small-1",
    ),
    "approvals list": ("openclaw approvals list", "openclaw approvals list --all --json"),
    "approvals show": ("openclaw approvals show ask-0002", "openclaw approvals show ask-0002 --json"),
    "approvals enroll": (
        "openclaw approvals enroll ada --role finance --new-key ada.key --by root",
        "openclaw approvals enroll tom --role risk --role legal --new-token --by root",
    ),
    "approvals withdraw": ("openclaw approvals withdraw tom --by root",),
    "approvals approvers": ("openclaw approvals approvers", "openclaw approvals approvers --json"),
    "approvals approve": ("openclaw approvals approve ask-0002 --by eva --reason 'known customer'",),
    "approvals reject": ("openclaw approvals reject ask-0002 --by eva --reason 'not the account of the customer'",),
    "exceptions open": (
        "openclaw exceptions open --agent refunds --tool refund --by eva --reason 'the bank is down' --for 30m",
        "openclaw exceptions open --tool refund --arg 'amount<=500' --uses 3 --for 2h --by eva --reason 'case 4711'",
    ),
    "exceptions list": ("openclaw exceptions list", "openclaw exceptions list --all --json"),
    "exceptions show": ("openclaw exceptions show exc-0001", "openclaw exceptions show exc-0001 --json"),
    "exceptions close": ("openclaw exceptions close exc-0001 --by tom --reason 'the bank is back'",),
    "policy check": ("openclaw policy check policies", "openclaw policy check policies --json"),
    "policy explain": (
        "openclaw policy explain policies refund.json",
        "openclaw policy explain policies - < refund.json",
    ),
    "policy test": ("openclaw policy test tested", "openclaw policy test tested --run small_refunds --threshold 95"),
    "policy coverage": (
        "openclaw policy coverage --from-log --policies policies",
        "openclaw policy coverage --from-log --policies policies --since 7d --json",
    ),
    "policy replay": (
        "openclaw policy replay --policies stricter",
        "openclaw policy replay --policies stricter --since 7d --json",
    ),
    "policy reach": (
        "openclaw policy reach refunds --policies policies --agents desk.yaml",
        "openclaw policy reach refunds --policies policies --agents desk.yaml --json",
    ),
    "policy shadow": ("openclaw policy shadow", "openclaw policy shadow --since 7d --json"),
    "policy bundle": (
        "openclaw policy bundle policies --key release.key --revision v7 -o desk.tar.gz",
        "openclaw policy bundle desk.tar.gz --key release.pub",
    ),
    "policy list": ("openclaw policy list", "openclaw policy list --json"),
    "policy init": ("openclaw policy init fresh", "openclaw policy init guarded --with roles,paths"),
    "policy eval": ("openclaw policy eval policies refund.json", "openclaw policy eval policies refund.json --json"),
}
"""By the words of the command, without the first one."""


__all__ = ["EXAMPLES"]
