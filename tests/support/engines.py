"""Policy engines for tests: what they answer is given, however busy the machine is."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from openclaw.decision import Decision, Effect, Obligation


class Scripted:
    """Allows everything, with these obligations."""

    name, revision = "scripted 1", "sha256:0"

    def __init__(self, *obligations: Obligation) -> None:
        self._obligations = obligations

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        return Decision(effect=Effect.ALLOW, obligations=self._obligations)

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        return self.evaluate(input)

    def close(self) -> None:
        pass
