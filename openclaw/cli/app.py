"""The tree of commands."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from openclaw.cli import (
    INTERRUPTED,
    approvals,
    approvers,
    audit,
    audit_explain,
    audit_export,
    audit_list,
    audit_query,
    audit_report,
    audit_stats,
    board,
    budget,
    budget_forecast,
    budget_reconcile,
    budget_report,
    completing,
    demo,
    doctor,
    examples,
    exceptions,
    halts,
    policy,
    privacy,
    proving,
    retention,
    reviewing,
    schema,
    show,
)
from openclaw.cli.options import Globals, GlobalStore


class _Commands(TyperGroup):
    """The commands; Ctrl-C ends any of them with one line, after it has put away what it had in hand."""

    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        if completing.VARIABLE in os.environ:
            completing.add_to(self)

    def invoke(self, ctx: typer.Context) -> object:  # pyright: ignore[reportIncompatibleMethodOverride] - the same class
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            show.note("interrupted")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="openclaw",
    cls=_Commands,
    help="Review and steer governed agents: their policies, their log, their budgets and their questions to people.",
    epilog="Exit codes: 0 holds, 1 what was checked does not hold, 2 wrong usage or unreadable input.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        show.lines(f"openclaw {importlib.metadata.version('openclaw-governance')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
]


@app.callback()
def openclaw(
    context: typer.Context,
    store: GlobalStore = None,
    version: VersionOption = False,  # noqa: ARG001 - its callback has done the work
) -> None:
    """Review and steer governed agents: their policies, their log, their budgets and their questions to people."""
    context.obj = Globals(store=store)


app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
audit_list.add_to(audit.app)
audit_explain.add_to(audit.app)
audit_query.add_to(audit.app)
audit_stats.add_to(audit.app)
audit_report.add_to(app, audit.app)
proving.add_to(audit.app)
retention.add_to(audit.app)
privacy.add_to(audit.app)
audit_export.add_to(audit.app)
reviewing.add_to(app, audit.app)
app.add_typer(audit.app, name="audit")
budget_report.add_to(budget.app)
budget_forecast.add_to(budget.app)
budget_reconcile.add_to(budget.app)
app.add_typer(budget.app, name="budget")
approvers.add_to(approvals.app)
app.add_typer(approvals.app, name="approvals")
app.add_typer(exceptions.app, name="exceptions")
app.command("ui")(board.ui)
app.command("halt")(halts.halt)
app.command("resume")(halts.resume)
app.command("halts")(halts.list_halts)
app.add_typer(policy.app, name="policy")
app.command("schema")(schema.schema)
examples.add_to(app)
