"""``openclaw policy``: load policies and ask them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated

import typer

from openclaw import delegation
from openclaw.cli import (
    show,
)
from openclaw.cli.options import InputArgument, JsonOption, read_input
from openclaw.policy import open_engine

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the policies.")]


def evaluate(
    folder: Folder,
    input_file: InputArgument = "-",
    as_json: JsonOption = False,
) -> None:
    """Ask the policies in a folder about one input, as `openclaw schema input` describes it. Nothing is recorded."""
    document = read_input(input_file)
    with contextlib.closing(open_engine(folder)) as engine:
        decision = delegation.evaluate(engine, document)
    if as_json:
        show.as_json(decision.model_dump(mode="json"))
        return
    show.fields(
        [
            ("effect", show.word(decision.effect.value)),
            *(("reason", reason) for reason in decision.reasons),
            *(("rule", rule) for rule in decision.rules),
            *(("obligation", json.dumps(duty.model_dump(mode="json"))) for duty in decision.obligations),
            ("code", decision.code),
            ("engine", decision.engine),
            ("revision", decision.revision),
        ]
    )
