"""``openclaw policy reach``: what an agent could do before it ever runs."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.cli import show
from openclaw.cli.options import JsonOption
from openclaw.clock import SystemClock
from openclaw.errors import ConfigurationError
from openclaw.policy import open_bundle
from openclaw.policy.agents import AgentSpec, choose_agent, read_agents
from openclaw.policy.bundle import Bundle
from openclaw.policy.reach import Finding, Reach, Reachable, reach
from openclaw.policy.wording import shown
from openclaw.review.comparing import answer_of_gate

DEADLINE_S = 5.0
"""How long one decision may take, in seconds: nobody waits for these, and a late one would be told as a deny."""


def run(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Its name, or workflow/name.")],
    policies: Annotated[Path, typer.Option("--policies", metavar="FOLDER", help="The folder of the policies.")],
    agents: Annotated[
        str,
        typer.Option(
            metavar="FILE|MODULE:NAME", help="Where it is described: YAML, JSON, or an Agent or Workflow in Python."
        ),
    ],
    now: Annotated[
        str | None, typer.Option(metavar="TIME", show_default=False, help="The moment to decide at. Default: now.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an agent could do before it runs: each call, the answer, what would change it, and what of that is proven."""
    described = choose_agent(_described(agents), agent)
    bundle = Bundle.read(policies)
    with contextlib.closing(open_bundle(bundle, deadline_s=DEADLINE_S)) as engine:
        found = reach(described, bundle, lambda document: answer_of_gate(engine, document), now=_moment(now))
    if as_json:
        show.as_json(_json(found))
    else:
        _print(found)


def _described(source: str) -> list[AgentSpec]:
    if Path(source).suffix in {".yaml", ".yml", ".json"} or ":" not in source:
        return read_agents(source)
    from openclaw.graph.describe import describe

    module, _, name = source.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # As `python -m` does: what lies here can be imported.
    try:
        value: object = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"`{source}` cannot be imported: {error}", hint="write `package.module:name` of an Agent or a Workflow"
        ) from error
    finally:
        sys.path.pop(0)
    return describe(value)


def _moment(text: str | None) -> dt.datetime:
    if text is None:
        return SystemClock().now()
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"`{text}` is no time", hint="write 2026-11-23T10:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _print(found: Reach) -> None:
    columns = [
        show.Column("call"),
        show.Column("answer"),
        show.Column("when", wide=True),
        show.Column("why", wide=True),
    ]
    rows = [
        (
            call.name if not at else "",
            show.word(finding.effect.value),
            finding.when,
            "; ".join(filter(None, (_evidence(finding), *finding.reasons))),
        )
        for call in found.calls
        for at, finding in enumerate(call.findings)
    ]
    show.table(columns, rows)
    show.lines("")
    show.table(
        [show.Column("call"), show.Column("answers are"), show.Column("because", wide=True)],
        [(call.name, "proven" if call.proven else "sampled", _basis(call)) for call in found.calls],
    )
    show.lines("")
    show.fields([("agent", _who(found.agent)), *_held(found), ("policies", found.revision)])


def _evidence(finding: Finding) -> str:
    """The calls on both sides of a border, such as ``500 → allow, 501 → ask``."""
    said = [
        f"{', '.join(map(shown, trial.args.values()))} → {trial.effect.value}"
        for trial in finding.trials
        if len(trial.args) == 1 and len(finding.trials) == 2
    ]
    return ", ".join(said)


def _basis(call: Reachable) -> str:
    return f"{call.basis} ({show.count(call.decisions)} decided)"


def _who(agent: AgentSpec) -> str:
    parts = [agent.name, f"of {agent.workflow}" if agent.workflow else "", ", ".join(agent.roles)]
    return " ".join(filter(None, parts[:2])) + (f", roles {parts[2]}" if parts[2] else "")


def _held(found: Reach) -> list[tuple[str, str]]:
    said = [f"{part}: {words}" for part, words in found.held.items()] or ["rules read nothing but the call"]
    return [("held fixed" if not at else "", text) for at, text in enumerate(said)]


def _json(found: Reach) -> JsonValue:
    return {
        "agent": found.agent.name,
        "workflow": found.agent.workflow,
        "revision": found.revision,
        "held": {**found.held},
        "calls": [
            {
                "kind": call.kind,
                "name": call.name,
                "proven": call.proven,
                "basis": call.basis,
                "decisions": call.decisions,
                "findings": [_finding(finding) for finding in call.findings],
            }
            for call in found.calls
        ],
    }


def _finding(finding: Finding) -> JsonValue:
    return {
        "effect": finding.effect.value,
        "when": finding.when,
        "reasons": [*finding.reasons],
        "trials": [
            {"args": trial.args, "effect": trial.effect.value, "reasons": [*trial.reasons]} for trial in finding.trials
        ],
    }
