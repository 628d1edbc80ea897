"""Which recorded inputs can be decided again, although the log hides values of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openclaw.audit.mask import hides
from openclaw.policy.bundle import Bundle
from openclaw.policy.reads import Projection, reads_of

if TYPE_CHECKING:
    from pydantic import JsonValue

_ALSO = ("principal", "delegators")
"""Whom the policies are asked for too (``openclaw.delegation``), whether they read it or not."""


class Known:
    """What is enough for the policies of ``bundle``: that nothing which they may read is masked, sealed or too large.

    Two inputs that agree on what is read are decided alike, which decisions that are kept rest upon too.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._read = Projection((*reads_of(bundle).paths, _ALSO))

    def enough(self, document: dict[str, JsonValue]) -> bool:
        """Whether ``document`` is decided as the whole input was."""
        return not hides(document) or not hides(self._read.of(document))
