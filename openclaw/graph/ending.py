"""How a call of a sealed tool ends: what it returned or raised, what of that is handed on, and the outcome of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from langgraph.errors import GraphBubbleUp, ParentCommand
from langgraph.types import Command
from pydantic import JsonValue

from openclaw.canonical import printable
from openclaw.errors import ConfigurationError, Halted, Refused
from openclaw.gate import Outcome, Permit, Shown
from openclaw.graph.bodies import Body, unvouched
from openclaw.graph.calls import Call
from openclaw.graph.kept import pack, recorded
from openclaw.graph.results import entering, handed_on, seen, told


class Ending:
    """The end of one admitted call. It is cut off until something else is known.

    Attributes:
        outcome: what to finish the call with.
        asks: what came of the call must be shown to the gate before anybody else sees it: ``seen`` is what a model would see.
    """

    def __init__(self, call: Call, permit: Permit, body: Body) -> None:
        self._call = call
        self._body = body
        self._permit = permit
        self._looked_at = call.scope.gate.reads(permit)
        self._response: object = None
        self._error: Exception | None = None
        self._left = False
        self.outcome = Outcome(status="cancelled", usage=call.request.hold)
        self.asks = False
        self.seen: JsonValue = None

    @contextmanager
    def running(self) -> Generator[None]:
        """The call itself. An error that must be looked at first is raised by ``result``."""
        try:
            yield
        except ParentCommand as left:
            self._left = True  # It returned: to the graph that this one is a part of.
            self.returned(cast("Any", left).args[0])
            if not self.asks:
                self._enter(None)
                raise
        except GraphBubbleUp as pause:
            # LangGraph parks the node and runs it again, so this execution came to no end yet.
            self.outcome = replace(self.outcome, status="suspended", error=f"interrupted: {type(pause).__name__}")
            self._call.comes_again()
            raise
        except Halted as halted:
            self.outcome = replace(self.outcome, error=f"Halted: {halted.message}")
            raise
        except Exception as error:
            self.outcome = replace(self.outcome, status="failed", error=f"{type(error).__name__}: {printable(error)}")
            self._error = error
            if not self._looked_at:
                self._enter(None)
                self._keep()
                raise
            self.seen = str(error)
            self._await()

    def returned(self, response: object) -> None:
        """The call has returned."""
        if self._body.tainted:
            response = unvouched(response)
            self._call.unvouched()
        self._response = response
        self.outcome = replace(self.outcome, status="done", result=recorded(response))
        if self._looked_at:
            self.seen = seen(response, self._call.tool)
            self._await()
        else:
            self._keep()

    def answered(self, shown: Shown) -> None:
        """The gate has said what may be seen."""
        if shown.changed and shown.refused is None and self._error is None:
            try:
                self._response = handed_on(self._response, self._call.tool, shown.value)
            except ConfigurationError as error:
                refused = Refused(f"the result is withheld: {error.message}", source="gate", hint=error.hint)
                shown = replace(shown, value=None, refused=refused)
        self.outcome = replace(self.outcome, shown=shown)
        if shown.refused is None:
            self._keep()

    def result(self) -> object:
        """What is handed on.

        Raises:
            Refused: nothing may be seen.
            Exception: what the call has raised, as far as it may be seen.
        """
        shown = self.outcome.shown
        if shown is not None and shown.refused is not None:
            raise shown.refused from None
        self._enter(shown)
        if self._error is not None:
            raise told(self._error, str(shown.value)) if shown is not None and shown.changed else self._error
        if self._left:
            raise ParentCommand(cast("Command[Any]", self._response))
        return self._response

    def _enter(self, shown: Shown | None) -> None:
        if self._error is not None:
            self._call.came_in(self._said(shown), vouched=False)
        else:
            said = entering(self._response, self._call.tool)
            self._call.came_in(said, vouched=not self._body.tainted)

    @property
    def suspended(self) -> bool:
        """It is going to be run again, by whichever process resumes the graph: its outcome must be durable by then."""
        return self.outcome.status == "suspended"

    def _await(self) -> None:
        """Nothing has been seen yet; if it stays so, nothing is kept."""
        self.asks = True
        self.outcome = replace(self.outcome, shown=Shown(value=None, changed=True, duties=self._permit.duties))

    def _said(self, shown: Shown | None) -> str:
        """What the error says to whoever sees it."""
        return str(shown.value) if shown is not None and shown.changed else printable(self._error)

    def _keep(self) -> None:
        """What an error has said is not handed on by a node that runs again: that tries anew. But it has been read."""
        if self._permit.key is None:
            return
        if self._error is not None:
            kept = pack(self._said(self.outcome.shown), unvouched=True)
        else:
            kept = pack(self._response, unvouched=self._body.tainted)
        self.outcome = replace(self.outcome, replay=kept)


__all__ = ["Ending"]
