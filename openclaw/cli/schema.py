"""``openclaw schema``: JSON Schemas for editors, for ``opa check --schema`` and for readers of ``--json``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from openclaw.cli import show
from openclaw.review.schemas import SCHEMAS


class Document(StrEnum):
    """What a schema can be had of."""

    INPUT = "input"
    DECISION = "decision"
    ENTRY = "entry"


def schema(document: Annotated[Document, typer.Argument(help="Which document.")]) -> None:
    """Print the JSON Schema of the policy input, of a policy's decision, or of an entry of the log."""
    show.as_json(SCHEMAS[document.value]())
