"""``openclaw policy list`` and ``openclaw policy init``: the shipped library, and a folder to begin with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from openclaw.cli import show
from openclaw.cli.options import JsonOption
from openclaw.errors import ConfigurationError
from openclaw.policy import library

STARTER = {
    "desk.rego": """\
# METADATA
# title: Desk
# description: |
#   The rules of one desk, to begin with: reading is free, money is limited, all else is denied.
package openclaw.policies.desk

import rego.v1

# Nothing is allowed that no rule allows. What an agent may do at all stands here.
# `openclaw schema input` says what `input` holds.
allow if input.kind == "model"

allow if {
	input.kind == "tool"
	input.tool.name in data.desk.tools
}

# Any deny wins over every allow, and its reason is what the agent and the log get.
# The type is checked first: to Rego every text is greater than every number.
deny contains "the amount of a refund is a number that is not negative" if {
	refunds
	not amount_known
}

deny contains sprintf("a refund is %v at most", [data.desk.refund_max]) if {
	refunds
	amount_known
	input.tool.args.amount > data.desk.refund_max
}

# An ask waits for a person: `openclaw approvals list`.
ask contains sprintf("a refund above %v needs a person", [data.desk.refund_alone]) if {
	refunds
	amount_known
	input.tool.args.amount > data.desk.refund_alone
}

# What must be done whatever the answer is. This one keeps the account number out of the log.
oblige contains {"kind": "mask", "fields": ["args.account"]} if refunds

refunds if input.tool.name == "refund"

amount_known if {
	is_number(input.tool.args.amount)
	input.tool.args.amount >= 0
}
""",
    "desk/data.json": """\
{
  "tools": ["lookup_order", "refund"],
  "refund_max": 500,
  "refund_alone": 50
}
""",
    "desk_test.rego": """\
package openclaw.policies.desk_test

import rego.v1

import data.openclaw.policies.desk

settings := {"tools": ["lookup_order", "refund"], "refund_max": 500, "refund_alone": 50}

refund(amount) := {"kind": "tool", "tool": {"name": "refund", "args": {"amount": amount}}}

denied(amount) := reasons if {
	reasons := desk.deny with input as refund(amount) with data.desk as settings
}

asked(amount) := reasons if {
	reasons := desk.ask with input as refund(amount) with data.desk as settings
}

test_tools_that_are_named_are_allowed if {
	desk.allow with input as {"kind": "tool", "tool": {"name": "lookup_order"}} with data.desk as settings
	not desk.allow with input as {"kind": "tool", "tool": {"name": "drop_orders"}} with data.desk as settings
}

test_a_small_refund_is_free if {
	denied(50) == set()
	asked(50) == set()
}

test_a_larger_refund_asks if asked(51) == {"a refund above 50 needs a person"}

test_the_largest_refund_is_denied if denied(501) == {"a refund is 500 at most"}

test_what_is_no_amount_is_denied if {
	reason := {"the amount of a refund is a number that is not negative"}
	denied("1,000,000") == reason
	denied(-5) == reason
	denied(null) == reason
}
""",
}
"""The folder that `init` writes without `--with`: names and texts."""


def list_packages(as_json: JsonOption = False) -> None:
    """List the rule packages that ship: what each serves, and which settings it has."""
    found = library.packages()
    if as_json:
        show.as_json(
            [
                {
                    "name": package.name,
                    "title": package.title,
                    "description": package.description,
                    "owasp": list(package.owasp),
                    "ai_act": list(package.ai_act),
                    "settings": package.settings,
                }
                for package in found
            ]
        )
        return
    show.table(
        [
            show.Column("name"),
            show.Column("title"),
            show.Column("owasp"),
            show.Column("ai act"),
            show.Column("settings", wide=True),
        ],
        [
            (
                package.name,
                package.title,
                _or_none(package.owasp),
                _or_none(article.removeprefix("Article ") for article in package.ai_act),
                ", ".join(package.settings),
            )
            for package in found
        ],
    )


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write; it is empty or not there.")],
    with_packages: Annotated[
        str, typer.Option("--with", metavar="NAMES", help="Packages of the library to copy, such as roles,paths.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a folder of policies to begin with: a small policy, its data and its tests, or packages of the library."""
    names = [name.strip() for name in with_packages.split(",") if name.strip()]
    files = dict(STARTER)
    if names:
        files = {
            f"{package.name}/{name}": text for package in library.choose(names) for name, text in package.files.items()
        }
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigurationError(f"`{folder}` is there and not an empty folder", hint="name a new one")
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"`{folder}` cannot be written: {error.strerror}") from error
    if as_json:
        show.as_json({"folder": str(folder), "files": sorted(files)})
        return
    show.fields([("wrote", str(folder / name)) for name in sorted(files)])
    show.note(f"next: openclaw policy check {folder}; openclaw policy test {folder}")


def _or_none(words: Iterable[str]) -> str:
    return ", ".join(words) or "–"
