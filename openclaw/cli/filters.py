"""The filters that every command over the log takes, said once; and saved views, which are filters and columns with a name."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from openclaw.decision import Effect
from openclaw.errors import ConfigurationError
from openclaw.review.period import moment_since
from openclaw.review.query import Query, Search

VIEWS = "OPENCLAW_VIEWS"
"""Environment variable: the file of saved views, where it is not to be in the user's folder of configuration."""


class Kind(StrEnum):
    """The kinds of entries."""

    DECISION = "decision"
    OUTCOME = "outcome"
    RESERVATION = "reservation"
    APPROVAL = "approval"
    EXCEPTION = "exception"
    CHECKPOINT = "checkpoint"
    POLICY = "policy"
    HALT = "halt"
    HOLD = "hold"
    ERASURE = "erasure"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Filters:
    """What was said of the entries that are meant; each member is an option."""

    kind: Annotated[Kind | None, typer.Option(help="Only entries of this kind.")] = None
    run: Annotated[str | None, typer.Option(help="Only entries of this run.")] = None
    workflow: Annotated[str | None, typer.Option(help="Only entries of this workflow.")] = None
    agent: Annotated[str | None, typer.Option(help="Only entries of this agent.")] = None
    tool: Annotated[str | None, typer.Option(help="Only entries about this tool or model.")] = None
    effect: Annotated[Effect | None, typer.Option(help="Only decisions with this effect.")] = None
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Only decisions with this text in a reason.")] = (
        None
    )
    since: Annotated[
        str | None, typer.Option(metavar="SPAN|TIME", help="Only entries from then on: 2h, 7d, 2026-11-23.")
    ] = None
    until: Annotated[str | None, typer.Option(metavar="SPAN|TIME", help="Only entries before then.")] = None
    arg: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Only calls with such an argument: 'amount>100'. May be given again."),
    ] = None
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Only entries in which this text stands.")] = None
    where: Annotated[
        str | None, typer.Option(metavar="EXPRESSION", help="Only entries of which this holds; see docs/review.md.")
    ] = None

    def query(self, now: dt.datetime) -> Query:
        """As the query layer has it.

        Raises:
            ConfigurationError: a time is none, or there is none between them.
        """
        since = moment_since(self.since, now) if self.since is not None else None
        until = moment_since(self.until, now) if self.until is not None else None
        if since is not None and until is not None and since >= until:
            raise ConfigurationError(
                f"no time is from `{self.since}` on and before `{self.until}`", hint="change --since or --until"
            )
        return Query(
            kind=self.kind,
            run=self.run,
            workflow=self.workflow,
            agent=self.agent,
            tool=self.tool,
            effect=self.effect,
            reason=self.reason,
            since=since,
            until=until,
            args=tuple(self.arg or ()),
            text=self.text,
            where=self.where,
        )

    def search(self, now: dt.datetime) -> Search:
        """The search that is meant.

        Raises:
            ConfigurationError: a time or a condition is none.
        """
        return Search(self.query(now))

    def said(self) -> dict[str, str | list[str]]:
        """What was said, for a view to keep."""
        return {name: value for name, value in asdict(self).items() if value}

    def over(self, kept: dict[str, object]) -> Filters:
        """These filters, with those of a view where nothing else was said."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        return Filters(**{name: mine[name] if mine[name] is not None else kept.get(name) for name in mine})  # pyright: ignore[reportArgumentType]


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``Filters``; it gets them as its argument ``filters``."""
    signature = inspect.signature(command, eval_str=True)
    options = inspect.signature(Filters, eval_str=True).parameters
    own = [one for one in signature.parameters.values() if one.name != "filters"]

    @functools.wraps(command)
    def with_filters(**values: object) -> None:
        filters = Filters(**{name: values.pop(name) for name in options})  # pyright: ignore[reportArgumentType]
        command(filters=filters, **values)

    told = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (own[0], *options.values(), *own[1:])]
    with_filters.__signature__ = signature.replace(parameters=told)  # pyright: ignore[reportAttributeAccessIssue]
    return with_filters


# -- views ---------------------------------------------------------------------------------------------------------------


def views_file() -> Path:
    """Where views are kept: they are the reviewer's own, and the database need not be writable for them."""
    if named := os.environ.get(VIEWS):
        return Path(named)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "openclaw" / "views.json"


def read_views() -> dict[str, dict[str, object]]:
    """All saved views by name.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    path = views_file()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the saved views in `{path}` cannot be read: {error}", hint="mend or remove the file"
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(one, dict) for one in cast("dict[str, object]", found).values()
    ):
        raise ConfigurationError(f"`{path}` holds no saved views", hint=f"name another file in {VIEWS}")
    return cast("dict[str, dict[str, object]]", found)


def read_view(name: str) -> dict[str, object]:
    """One saved view.

    Raises:
        ConfigurationError: there is none of that name, or it holds what no view holds.
    """
    views = read_views()
    if name not in views:
        known = (
            f"there are {', '.join(sorted(views))}" if views else "save one with `openclaw audit list … --save NAME`"
        )
        raise ConfigurationError(f"there is no view `{name}`", hint=known)
    return views[name]


def write_views(views: dict[str, dict[str, object]]) -> None:
    """Keep these views, and no others: the old file or the new one at every moment.

    Raises:
        ConfigurationError: they cannot be written.
    """
    path = views_file()
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(views, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"the views cannot be written to `{path}`: {error.strerror}", hint=f"name another file in {VIEWS}"
        ) from error


__all__ = ["Filters", "Kind", "filtered", "read_view", "read_views", "views_file", "write_views"]
