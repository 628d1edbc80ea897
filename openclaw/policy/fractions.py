"""Arithmetic with fractions, on which engines do not agree: the native one counts in binary, OPA in decimal.

``0.1 + 0.2 == 0.3`` holds for OPA and not for an engine with the numbers of IEEE 754, in which most decimal fractions are
rounded. A fraction that is only compared is the same to all of them; one that is added, multiplied or divided is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from openclaw.errors import Diagnostic
from openclaw.policy.ruleset import Ruleset
from openclaw.policy.syntax import Infix, Scalar, flat, heads, statements, terms_of

_ARITHMETIC = frozenset({"+", "-", "*", "/"})


def fraction_findings(ruleset: Ruleset) -> Iterator[Diagnostic]:
    """A warning for each calculation with a fraction that is written out, or with the result of a division."""
    for definition in ruleset.definitions:
        terms = [*heads(definition.rule)]
        for statement, _ in statements(definition.rule):
            terms += terms_of(statement)
        for term in terms:
            for part in flat(term):
                if isinstance(part, Infix) and part.operator in _ARITHMETIC and not _is_sign(part):
                    yield from (
                        definition.source.finding(
                            part.at,
                            f"`{definition.source.file.of(part.at)}` counts with {found}: engines round that differently",
                            "count in whole units, such as cents or hundredths; comparing with a fraction is well",
                            code="fraction",
                            severity="warning",
                        )
                        for found in _fractions(part)
                    )


def _fractions(calculation: Infix) -> Iterator[str]:
    """What is no whole number in a calculation: the first of it."""
    for operand in (calculation.left, calculation.right):
        if isinstance(operand, Scalar) and isinstance(operand.value, float) and not operand.value.is_integer():
            yield f"the fraction {operand.value:g}"
            return
        if isinstance(operand, Infix) and operand.operator == "/" and not _is_whole(operand):
            yield "what a division leaves"
            return


def _is_whole(division: Infix) -> bool:
    """``(x - x % n) / n``: nothing is left."""
    match division.left, division.right:
        case Infix(_, "-", _, Infix(_, "%", _, Scalar(_, left))), Scalar(_, right):
            return left == right
        case _:
            return False


def _is_sign(part: Infix) -> bool:
    """``-x`` is read as ``0 - x``."""
    return part.operator == "-" and isinstance(part.left, Scalar) and part.left.value == 0
