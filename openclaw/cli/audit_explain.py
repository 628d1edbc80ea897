"""``openclaw audit explain``: which rule decided, the values that made it so, and what would have had to differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import JsonOption, Seq, StoreOption
from openclaw.cli.policy_explain import explanation_json, print_explanation
from openclaw.policy.explain import DEPTH_MAX
from openclaw.review.account import Account, account
from openclaw.review.entries import call, lifted
from openclaw.review.otherwise import ANOTHER, Difference


def explain_entry(
    context: typer.Context,
    seq: Seq,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies",
            metavar="FOLDER|FILE",
            show_default=False,
            help="Decide again with these: a folder or a bundle.",
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option(min=0, max=DEPTH_MAX, metavar="LEVELS", help="How far to tell of rules that rules use.")
    ] = 1,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a call was allowed, asked about or denied. SEQ may be its decision, its outcome, or a person's answer.

    With --policies it is decided again: under the recorded revision, which is compared, the rules are told with the values that
    made them true, and the changes of the input that would have led to another answer, each tried out.
    """
    with opened(context, store) as books:
        found = account(books.log, seq, policies, depth=depth)
    if as_json:
        show.as_json(_json(found))
    else:
        _print(found)


def account_pairs(found: Account) -> list[tuple[str, str | Text]]:
    """Who decided and why, as names and values."""
    said = found.recorded
    about = f", about which entry {said.asked_of} is" if said.asked_of != said.seq else ""
    pairs: list[tuple[str, str | Text]] = [
        ("entry", f"{said.seq}{about}"),
        ("call", f"{call(found.entry)} of {found.entry.agent}"),
        ("effect", show.word(said.effect)),
        ("decided by", said.decided_by + (f" ({said.code})" if said.code not in ("", "policy") else "")),
        *(("reason", reason) for reason in said.reasons),
        *(("rule", rule) for rule in said.rules),
        *([("exception", under)] if (under := lifted(found.entry)) else []),
    ]
    if said.policy_effect != said.effect:
        pairs.append(("the policy", Text.assemble("said ", show.word(said.policy_effect))))
    pairs += [("engine", said.engine), ("revision", said.revision), ("again", _again(found))]
    return pairs


def _print(found: Account) -> None:
    show.fields(account_pairs(found))
    if found.explanation is not None:
        show.lines("")
        show.heading("decided again")
        print_explanation(found.explanation)
    if found.decision is not None:
        show.lines("")
        show.heading("another answer")
        _print_differences(found)


def _again(found: Account) -> Text:
    match found.again:
        case "no policies":
            return Text("not decided again: name the policies with --policies")
        case "undecidable":
            return Text("nobody can decide again: a value of the input is masked")
        case _:
            pass
    assert found.decision is not None
    which = (
        "the recorded policies" if found.same_policy else f"other policies than the recorded ones ({found.revision})"
    )
    same = "the same" if found.again == "same" else "otherwise"
    return Text.assemble(f"{which} answer {same}: ", show.word(found.decision.effect.value))


def _print_differences(found: Account) -> None:
    said = found.recorded
    if said.decided_by != "policy":
        show.outline(
            0, f"it was not the policy that refused: without the {said.decided_by} saying no, its answer stands"
        )
    if said.effect == "ask":
        show.outline(0, show_effect("allow"), "  with a person's approval of exactly this call")
    for one in found.differences:
        why = f"  {'; '.join(one.reasons)}" if one.reasons and one.effect != "allow" else ""
        show.outline(0, show_effect(one.effect), f"  {told_change(one)}", (why, "dim"))
    if not found.differences:
        show.outline(0, "no single change that was tried leads to another answer")


def show_effect(effect: str) -> tuple[str, str]:
    """An effect as the beginning of a line, in its colour."""
    return effect.ljust(5), show.STYLES.get(effect, "")


def told_change(one: Difference) -> str:
    """A change of the input, as in ``with tool.args.amount = 50 (was 120)``."""
    before = json.dumps(one.before[0], ensure_ascii=False) if one.before else "absent"
    if one.after == (ANOTHER,):
        return f"with {one.path} another than {before}"
    after = f"= {json.dumps(one.after[0], ensure_ascii=False)}" if one.after else "absent"
    return f"with {one.path} {after} (was {before})"


def _json(found: Account) -> dict[str, JsonValue]:
    return {
        "recorded": found.recorded.model_dump(mode="json"),
        "again": found.again,
        "same_policy": found.same_policy,
        "revision": found.revision,
        "explanation": explanation_json(found.explanation) if found.explanation is not None else None,
        "differences": [one.model_dump(mode="json") for one in found.differences],
    }
