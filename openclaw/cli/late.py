"""Commands that are imported when they are called: a reviewer types them all day, and each needs a small part of the program."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from openclaw.cli.examples import EXAMPLES

if TYPE_CHECKING:
    from typer._click import Command, Context

COMPLETING = "_OPENCLAW_COMPLETE"
"""Environment variable by which a shell asks what may follow."""

GROUPS = {
    "audit": "Read the log, check it, prove its entries.",
    "audit view": "Saved views: filters and columns with a name.",
    "audit hold": "Legal holds: entries that stay, whatever their age.",
    "budget": "Who may spend, and who has spent what.",
    "approvals": "The questions that agents put to people.",
    "exceptions": "Break-glass: bounded exceptions from policies that allow for them.",
    "policy": "Load policies and ask them.",
}
"""Groups of commands, and what is said of them."""

COMMANDS = {
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "review": "reviewing:review",
    "report": "audit_report:report",
    "ui": "board:ui",
    "halt": "halts:halt",
    "resume": "halts:resume",
    "halts": "halts:list_halts",
    "schema": "schema:schema",
    "audit list": "audit_list:list_entries",
    "audit tail": "audit_list:tail",
    "audit show": "audit:show_entry",
    "audit explain": "audit_explain:explain_entry",
    "audit timeline": "audit:show_timeline",
    "audit open": "audit:open_actions",
    "audit stats": "audit_stats:stats",
    "audit diff": "audit_stats:diff",
    "audit query": "audit_query:query",
    "audit report": "audit_report:report",
    "audit note": "reviewing:note",
    "audit verify": "proving:verify",
    "audit prove": "proving:prove",
    "audit checkpoint": "proving:checkpoint",
    "audit rotate-key": "proving:rotate_key",
    "audit export": "audit_export:export",
    "audit prune": "retention:prune",
    "audit lookup": "privacy:lookup",
    "audit forget": "privacy:forget",
    "audit view list": "audit_list:list_views",
    "audit view remove": "audit_list:remove_view",
    "audit hold add": "retention:add",
    "audit hold list": "retention:list_holds",
    "audit hold release": "retention:release",
    "budget list": "budget:list_accounts",
    "budget show": "budget:show_account",
    "budget set": "budget:set_limit",
    "budget audit": "budget:audit",
    "budget report": "budget_report:report",
    "budget forecast": "budget_forecast:forecast",
    "budget reconcile": "budget_reconcile:reconcile_invoice",
    "approvals list": "approvals:list_questions",
    "approvals show": "approvals:show_question",
    "approvals approve": "approvals:approve",
    "approvals reject": "approvals:reject",
    "approvals enroll": "approvers:enroll",
    "approvals withdraw": "approvers:withdraw",
    "approvals approvers": "approvers:list_approvers",
    "exceptions open": "exceptions:open_exception",
    "exceptions list": "exceptions:list_exceptions",
    "exceptions show": "exceptions:show_exception",
    "exceptions close": "exceptions:close_exception",
    "policy check": "policy_check:run",
    "policy explain": "policy_explain:run",
    "policy test": "policy_test:run",
    "policy coverage": "policy_coverage:run",
    "policy replay": "policy_replay:run",
    "policy reach": "policy_reach:run",
    "policy shadow": "policy_shadow:run",
    "policy bundle": "policy_bundle:run",
    "policy list": "library:list_packages",
    "policy init": "library:init",
    "policy eval": "policy:evaluate",
}
"""By the words of a command, in the order of ``--help``: the module below ``openclaw.cli`` and the function in it."""

HIDDEN = frozenset({"report"})
"""Where some look for a command that is elsewhere."""


class LateCommands(MutableMapping[str, "Command"]):
    """The commands below some words; each is imported when it is looked up, and only then."""

    def __init__(self, above: str = "") -> None:
        start = f"{above} " if above else ""
        below = [words.removeprefix(start) for words in (*COMMANDS, *GROUPS) if words.startswith(start)]
        self._above = start
        self._known: dict[str, Command | None] = {name: None for name in below if " " not in name}

    def __getitem__(self, name: str) -> Command:
        found = self._known[name]
        if found is None:
            found = self._known[name] = _group(self._above + name) or _command(self._above + name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __setitem__(self, name: str, command: Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class LateGroup(TyperGroup):
    """A group of commands that are not imported before they are called."""

    ABOVE = ""

    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        late = LateCommands(self.ABOVE)
        late.update(self.commands)
        self.commands = late

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: D102 - the same as above it
        # Not `get`: a KeyError while a command is imported is no wrong name.
        return self.commands[cmd_name] if cmd_name in self.commands else None  # noqa: SIM401

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: D102 - the same as above it
        return list(self.commands)


def _group(words: str) -> Command | None:
    told = GROUPS.get(words)
    if told is None:
        return None
    cls = type("LateGroup", (LateGroup,), {"ABOVE": words})
    name = words.rpartition(" ")[2]
    return typer.main.get_group(
        typer.Typer(name=name, cls=cls, help=told, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
    )


def _command(words: str) -> Command:
    module, _, function = COMMANDS[words].partition(":")
    run: Callable[..., object] = getattr(importlib.import_module(f"openclaw.cli.{module}"), function)
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    lines = EXAMPLES.get(words) or EXAMPLES.get(f"audit {words}", ())
    # What follows \b is not wrapped: a command is copied as it stands.
    epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if lines else None
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    alone.command(words.rpartition(" ")[2], epilog=epilog, hidden=words in HIDDEN)(run)
    command = typer.main.get_command(alone)
    if COMPLETING in os.environ:
        from openclaw.cli import completing

        completing.add_to(command)
    return command


__all__ = ["COMMANDS", "COMPLETING", "GROUPS", "LateCommands", "LateGroup"]
