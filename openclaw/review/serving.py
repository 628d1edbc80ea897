"""Which demands of OWASP a rule serves: said by the ``# METADATA`` of its package, in the very policies that had decided.

The policies of a revision are at hand where somebody names them. Otherwise a rule is known by the name of its package alone, as
one of the shipped library: then it is said that it was so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from openclaw.errors import PolicyError
from openclaw.policy.bundle import Bundle
from openclaw.policy.library import metadata, packages
from openclaw.policy.source import read_policies

Served = Mapping[str, frozenset[str]]
"""Numbers such as ``ASI02``, by the package below ``openclaw.policies`` that serves them."""

_PACKAGE = re.compile(r"^package\s+openclaw\.policies\.([\w.]+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Serving:
    """What rules serve.

    Attributes:
        by_revision: of the policies that are at hand.
        by_name: of the shipped library, for every other revision.
    """

    by_revision: Mapping[str, Served] = field(default_factory=dict[str, Served])
    by_name: Served = field(default_factory=dict[str, frozenset[str]])

    def serves(self, revision: str, rules: Iterable[str], number: str) -> bool:
        """Whether one of these rules, of a policy of that revision, has refused or asked and serves a demand."""
        served = self.by_revision.get(revision, self.by_name)
        refusing = (rule for rule in rules if rule.rpartition(".")[2] in ("deny", "ask"))
        return any(number in served.get(name, ()) for rule in refusing for name in _packages_of(rule))


def serving(policies: Sequence[Path] = ()) -> Serving:
    """What the rules of these folders or bundles serve by their annotations, and those of the shipped library by name.

    Raises:
        PolicyError: policies cannot be read, or the library is not installed.
    """
    bundles = [Bundle.assemble(read_policies(path)) for path in policies]
    by_revision = {bundle.revision: dict(_annotated(bundle)) for bundle in bundles}
    return Serving(by_revision, {package.name: frozenset(package.owasp) for package in packages()})


def _annotated(bundle: Bundle) -> Iterator[tuple[str, frozenset[str]]]:
    for module in bundle.modules:
        package = _PACKAGE.search(module.text)
        if package is None:
            continue
        try:
            custom = metadata(module.text).get("custom")
        except ValueError as error:
            raise PolicyError(f"`{module.shown}`: {error}") from error
        told = cast("dict[str, object]", custom).get("owasp") if isinstance(custom, dict) else None
        if isinstance(told, list):
            yield package.group(1), frozenset(map(str, cast("list[object]", told)))


def _packages_of(rule: str) -> Iterator[str]:
    """The packages that a rule may be of: ``roles`` of ``policies.roles.deny``, ``team.pay`` of ``policies.team.pay.deny``."""
    _, *within = rule.split(".")
    return (".".join(within[:end]) for end in range(1, len(within)))


__all__ = ["Serving", "serving"]
