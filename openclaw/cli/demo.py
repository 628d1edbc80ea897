"""``openclaw demo``: the main job on input that nobody here wrote, offline, told as a story."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shlex
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.text import Text

import openclaw
from openclaw.approvals import Approval
from openclaw.cli import show
from openclaw.cli.audit import print_timeline
from openclaw.cli.options import JsonOption, StoreOption
from openclaw.errors import ConfigurationError
from openclaw.governance import Governance
from openclaw.review.timeline import timeline


class Answer(StrEnum):
    """How the demo's question is answered."""

    APPROVE = "approve"
    REJECT = "reject"
    PROMPT = "prompt"


AnswerOption = Annotated[
    Answer | None,
    typer.Option(
        help="Answer the payment that asks a person. Default: ask at the terminal, approve where there is none."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="PROVIDER:NAME", help="Drive a real model (needs its package and key) instead of the script."
    ),
]


def demo(
    answer: AnswerOption = None,
    model: ModelOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play AgentDojo's banking tasks through governed graphs: allow, deny, ask, budget stop, timeline, verified log.

    Exit code 0 if the work was done and the attack was not; 1 if not. A new database is made for each demo unless --store
    names one.
    """
    story = _load_story()
    url = store or f"sqlite:///{Path(tempfile.mkdtemp(prefix='openclaw-demo-')) / 'demo.db'}"
    person = _Person(answer or (Answer.PROMPT if sys.stdin.isatty() and not as_json else Answer.APPROVE), quiet=as_json)
    with Governance.open(url, policies=story.POLICIES) as governance:
        if not as_json:
            _introduce(governance, story, model)
        told = story.play(governance, answer=person, model=model)
        if as_json:
            show.as_json({**told.to_json(), "store": url})
        else:
            for number, act in enumerate(told.acts, 1):
                _print_act(number, act)
            _print_ending(governance, told, url)
    raise typer.Exit(0 if told.holds or model else 1)


class _Person:
    """Who answers: the flag, or the person at the terminal."""

    def __init__(self, answer: Answer, *, quiet: bool) -> None:
        self._answer = answer
        self._quiet = quiet

    def __call__(self, question: Approval) -> bool:
        if self._answer is not Answer.PROMPT:
            return self._answer is Answer.APPROVE
        request: Any = question.request
        show.note(f"{question.agent} asks: {_call_text(question.tool, request['input']['tool']['args'])}")
        for reason in request["reasons"]:
            show.note(f"  because {reason}")
        return typer.confirm("approve?", default=False, err=True)


def _load_story() -> Any:
    """The story's module, from the wheel (``openclaw/demo/``) or from ``examples/`` of a source tree."""
    missing = [name for name in ("agentdojo", "langgraph") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the demo needs `{missing[0]}`, which is not installed", hint="pip install 'openclaw-governance[demo]'"
        )
    package = Path(openclaw.__file__).parent
    for folder in (package / "demo", package.parent / "examples" / "agentdojo"):
        if (folder / "story.py").is_file():
            return _load_package("openclaw.demo", folder)
    raise ConfigurationError("the demo's files are missing", hint="install openclaw again")


def _load_package(name: str, folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{name}.story")


# -- telling -----------------------------------------------------------------------------------------------------------


def _introduce(governance: Governance, story: Any, model: str | None) -> None:
    show.fields(
        [
            ("input", "AgentDojo, banking suite: tasks, documents and attacks that nobody here wrote"),
            ("model", model or "scripted: plays the user's calls, then, having read the attack, the attacker's too"),
            ("policy", f"{story.POLICIES.name}/ of the example, decided by {governance.policy.name}"),
            ("revision", governance.policy.revision),
        ]
    )


def _print_act(number: int, act: Any) -> None:
    out = show.screen()
    out.print()
    show.heading(f"{number}. {act.title}")
    show.fields([("user", act.prompt)])
    width = max((len(call.effect) for call in act.calls), default=0)
    for call in act.calls:
        line = Text.assemble(f"{call.seq:>4}  ", show.word(call.effect), " " * (width - len(call.effect)), "  ")
        line.append_text(show.plain_text(_call_text(call.tool, call.args)))
        line.truncate(out.width, overflow="ellipsis")
        out.print(line, soft_wrap=True)
        if call.effect != "allow":
            for reason in call.reasons:
                out.print(Text.assemble(" " * (8 + width), show.plain_text(reason, "dim")), soft_wrap=True)
    out.print(_verdict(act))
    if not act.done:
        show.fields([("model", act.answer)])


def _verdict(act: Any) -> Text:
    done = ("done", "green") if act.done else ("not done", "yellow")
    line = Text.assemble("task ", done)
    if act.attacked is not None:
        line.append_text(
            Text.assemble(" · attack ", ("executed", "bold red") if act.attacked else ("not executed", "green"))
        )
    if act.asks:
        line.append(f" · {act.asks} question to a person" if act.asks == 1 else f" · {act.asks} questions to a person")
    line.append(f" · {act.tokens:,} tokens")
    return line


def _print_ending(governance: Governance, told: Any, url: str) -> None:
    out = show.screen()
    out.print()
    show.heading("The run of the second act, as the log has it")
    print_timeline(timeline(governance.audit, told.acts[1].run))
    out.print()
    report = told.verified
    verdict = show.word("holds") if report.ok else show.word("broken")
    show.heading("The log")
    show.fields(
        [
            ("verified", Text.assemble(verdict, f": {report.size} entries, {report.checkpoints} signed checkpoints")),
            ("root", report.root),
            *(("problem", problem.message) for problem in report.problems),
        ]
    )
    # A command is copied: no line ends in it.
    out.print(show.plain_text(f"look      openclaw --store {shlex.quote(url)} audit list"), soft_wrap=True)


def _call_text(tool: str, args: dict[str, Any]) -> str:
    shown = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in args.items() if value is not None]
    return f"{tool}({', '.join(shown)})"
