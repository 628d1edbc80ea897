"""``openclaw halt``, ``resume`` and ``halts``: stop an agent, a workflow, a run or everything, and let it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import ByOption, JsonOption, ReasonOption, StoreOption
from openclaw.errors import ConfigurationError
from openclaw.halts import Halt, Target

AgentOption = Annotated[str, typer.Option("--agent", metavar="NAME", help="This agent, and whoever works for it.")]
WorkflowOption = Annotated[str, typer.Option("--workflow", metavar="NAME", help="This workflow.")]
RunOption = Annotated[str, typer.Option("--run", metavar="ID", help="This run.")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything.")]


def halt(
    context: typer.Context,
    by: ByOption,
    agent: AgentOption = "",
    workflow: WorkflowOption = "",
    run: RunOption = "",
    everything: AllOption = False,
    reason: ReasonOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop an agent, a workflow, a run or everything, at once, in every process that shares the store."""
    target = _target(agent, workflow, run, everything=everything)
    with opened(context, store, write=True) as books:
        laid = books.halts.halt(target, by=by, reason=reason)
    _say("halted", laid, as_json=as_json)


def resume(
    context: typer.Context,
    by: ByOption,
    agent: AgentOption = "",
    workflow: WorkflowOption = "",
    run: RunOption = "",
    everything: AllOption = False,
    reason: ReasonOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go on what was halted with exactly these names."""
    target = _target(agent, workflow, run, everything=everything)
    with opened(context, store, write=True) as books:
        lifted = books.halts.resume(target, by=by, reason=reason)
    _say("resumed", lifted, as_json=as_json)


def list_halts(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List what is halted."""
    with opened(context, store) as books:
        found = books.halts.list()
    if as_json:
        show.as_json_list(halt.model_dump(mode="json") for halt in found)
        return
    if not found:
        show.note("nothing is halted")
        return
    columns = [show.Column("halted"), show.Column("since"), show.Column("by"), show.Column("reason", wide=True)]
    show.table(columns, [(_name(halt), show.moment(halt.at), halt.by, halt.reason) for halt in found])


def _target(agent: str, workflow: str, run: str, *, everything: bool) -> Target:
    target = Target(agent=agent, workflow=workflow, run=run)
    if everything == bool(target.names()):
        said = "everything is meant, and something is named" if everything else "nothing is named"
        raise ConfigurationError(said, hint="say what: `--agent`, `--workflow`, `--run` or `--all`")
    return target


def _name(halt: Halt) -> str:
    return ", ".join(f"{name} {value}" for name, value in halt.target.names().items()) or "everything"


def _say(what: str, halt: Halt, *, as_json: bool) -> None:
    if as_json:
        show.as_json(halt.model_dump(mode="json"))
        return
    why = f": {halt.reason}" if halt.reason else ""
    show.fields([(what, f"{_name(halt)}, by {halt.by}{why}")])


__all__ = ["halt", "list_halts", "resume"]
