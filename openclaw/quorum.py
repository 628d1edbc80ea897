"""How many people must agree to an action, and of which roles: what ``approve`` obligations demand, and whether it is met.

    {"kind": "approve", "quorum": 2, "roles": ["finance", "risk", "legal"], "distinct": true, "authenticated": true}

Pure: who has said yes goes in, what is missing comes out. One person counts once, however their name is written, and who asked
for the action, or carries it out, never counts. One "no" ends it (see ``openclaw.answers``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pydantic import JsonValue

PEOPLE_MAX = 20
"""The most people that one obligation may ask for."""

ROLES_MAX = 50


@dataclass(frozen=True, slots=True)
class Quorum:
    """What one obligation demands.

    Args:
        people: how many must agree.
        roles: each of them holds one of these; anybody's agreement counts where there are none.
        distinct: and each stands for another role than the others.
        authenticated: each has proved who they are, by a signature or a token.
    """

    people: int = 1
    roles: tuple[str, ...] = ()
    distinct: bool = False
    authenticated: bool = False

    def __str__(self) -> str:
        many = "1 person" if self.people == 1 else f"{self.people} people"
        of = f" of {', '.join(f'`{role}`' for role in self.roles)}" if self.roles else ""
        each = ", each for another role," if self.distinct and self.people > 1 else ""
        return f"{many}{of}{each} must agree{', with proof of who they are' if self.authenticated else ''}"

    @classmethod
    def read(cls, params: Mapping[str, JsonValue]) -> Quorum:
        """The quorum in the parameters of an obligation.

        Raises:
            ValueError: they make no sense; the text says what was expected.
        """
        people, roles = params.get("quorum", 1), params.get("roles", [])
        if isinstance(people, bool) or not isinstance(people, int) or not 1 <= people <= PEOPLE_MAX:
            raise ValueError(f'expected "quorum", a whole number from 1 to {PEOPLE_MAX}')
        if "roles" in params and not _are_names(roles):
            raise ValueError(f'expected "roles", a list of 1 to {ROLES_MAX} names')
        named = tuple(dict.fromkeys(cast("list[str]", roles)))
        flags = {name: params.get(name, False) for name in ("distinct", "authenticated")}
        for name, value in flags.items():
            if not isinstance(value, bool):
                raise ValueError(f'expected "{name}", true or false')  # noqa: TRY004 - as whatever else is malformed
        if flags["distinct"] and len(named) < people:
            raise ValueError(f'expected "roles", at least {people} of them, since each person stands for another')
        return cls(people, named, bool(flags["distinct"]), bool(flags["authenticated"]))

    def params(self) -> dict[str, JsonValue]:
        """The parameters of the obligation again."""
        return {
            "quorum": self.people,
            **({"roles": [*self.roles]} if self.roles else {}),
            **({"distinct": True} if self.distinct else {}),
            **({"authenticated": True} if self.authenticated else {}),
        }

    def takes(self, voice: Voice) -> bool:
        """Whether this person's agreement counts here."""
        if self.authenticated and not voice.authenticated:
            return False
        return not self.roles or not voice.roles.isdisjoint(self.roles)

    def agreed(self, voices: Sequence[Voice]) -> int:
        """How many of those whom it takes have agreed; with ``distinct``, for how many roles."""
        counted = [voice for voice in voices if self.takes(voice)]
        return _standing_for(counted, self.roles) if self.distinct else len(counted)


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who has agreed, or is about to: what roles they hold, and whether they have proved who they are."""

    by: str
    roles: frozenset[str] = frozenset()
    authenticated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a question demands of its answers, over all obligations.

    Args:
        quorums: each of them must be met.
        authenticated: every answer needs proof, because whoever governs has set it so.
        amend: the arguments that an approver may change.
        apart: who cannot agree where there is a quorum: whom it is done for, and the agents that do it.
    """

    quorums: tuple[Quorum, ...] = ()
    authenticated: bool = False
    amend: tuple[str, ...] = ()
    apart: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def proof(self) -> bool:
        """Whether every answer must be authenticated."""
        return self.authenticated or any(quorum.authenticated for quorum in self.quorums)

    @property
    def people(self) -> int:
        """How many people must agree at least."""
        return max((quorum.people for quorum in self.quorums), default=1)

    def agreed(self, voices: Iterable[Voice]) -> tuple[int, int]:
        """How many have agreed of how many, where most are missing."""
        heard = self._heard(voices)
        counts = [(quorum.agreed(heard), quorum.people) for quorum in self.quorums] or [(min(len(heard), 1), 1)]
        return max(counts, key=lambda count: count[1] - count[0])

    def missing(self, voices: Iterable[Voice]) -> str:
        """What is missing to a yes, in words; empty where nothing is."""
        heard = self._heard(voices)
        for quorum in self.quorums:
            agreed = quorum.agreed(heard)
            if agreed < quorum.people:
                return f"{quorum}, and {agreed or 'nobody'} {'has' if agreed < 2 else 'have'}"
        return "" if heard else "nobody has agreed"

    def objection(self, voice: Voice) -> str:
        """Why the answer of this person counts for nothing here; empty where it counts."""
        if not self.quorums:
            return ""
        if person(voice.by) in self.apart:
            return f"`{voice.by}` has asked for it or carries it out, and other people must agree"
        if any(quorum.takes(voice) for quorum in self.quorums):
            return ""
        roles = sorted({role for quorum in self.quorums for role in quorum.roles})
        return f"`{voice.by}` is enrolled for none of the roles {', '.join(f'`{role}`' for role in roles)}"

    def _heard(self, voices: Iterable[Voice]) -> list[Voice]:
        """One voice for each person; nobody who stands apart where other people are demanded."""
        known = {person(voice.by): voice for voice in voices if voice.authenticated or not self.authenticated}
        return [voice for name, voice in known.items() if not (self.quorums and name in self.apart)]


NO_DEMAND = Demand()


def person(name: str) -> str:
    """One spelling for one person: ``user:eva``, ``Eva`` and ``eva`` are the same."""
    return unicodedata.normalize("NFKC", name).strip().casefold().removeprefix("user:")


def _are_names(value: JsonValue) -> bool:
    return isinstance(value, list) and 0 < len(value) <= ROLES_MAX and all(isinstance(it, str) and it for it in value)


def _standing_for(voices: Sequence[Voice], roles: Sequence[str]) -> int:
    """For how many of the roles somebody of their own can stand (a maximum matching, by augmenting paths)."""
    holder: dict[str, Voice] = {}

    def place(voice: Voice, tried: set[str]) -> bool:
        for role in roles:
            if role in voice.roles and role not in tried:
                tried.add(role)
                if role not in holder or place(holder[role], tried):
                    holder[role] = voice
                    return True
        return False

    return sum(place(voice, set()) for voice in voices)


__all__ = ["NO_DEMAND", "PEOPLE_MAX", "Demand", "Quorum", "Voice", "person"]
