"""``openclaw audit verify | prove | checkpoint | rotate-key``: what the log can show of itself, and its signing key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openclaw.audit import AuditLog, ConsistencyProof, Proof, Verifier, VerifyReport, read_proof
from openclaw.audit.note import COSIGNATURE
from openclaw.audit.report import Problem
from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.books import cannot_be_written, opened
from openclaw.cli.options import ByOption, JsonOption, KeyOption, PlacesOption, ReasonOption, StoreOption
from openclaw.cli.progress import reading
from openclaw.errors import AuditError, StoreError
from openclaw.review.signatures import signed_answers

PublicKey = Annotated[
    str | None, typer.Option("--public-key", metavar="NAME+ID+KEY", help="Trust this public key, and no key file.")
]


def verify(
    context: typer.Context,
    proof: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A proof made by `audit prove`; the whole log if left out.")
    ] = None,
    public_key: PublicKey = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(
            "--witness", metavar="NAME+ID+KEY", help="With FILE: this witness must have cosigned. May be repeated."
        ),
    ] = None,
    key: KeyOption = None,
    checkpoints: PlacesOption = None,
    inside_only: Annotated[
        bool,
        typer.Option("--inside-only", help="Compare with no place outside, though a cut tail may go unnoticed then."),
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the whole log again and check every leaf, node, signed checkpoint and signed answer. Exit code 1 if it does not hold.

    With FILE, check one proof offline: no database is opened, and the public key must be given.
    """
    verifier = Verifier.parse(public_key) if public_key else None
    if proof is not None:
        _verify_proof(proof, verifier, [Verifier.parse(text, algorithm=COSIGNATURE) for text in witness or ()], as_json)
        return
    places = () if inside_only else checkpoints or None
    with (
        opened(context, store, key=key, signs=verifier is None, compares=True, places=places) as books,
        reading("verifying") as seen,
    ):
        report = books.log.verify(verifier, seen=seen)
        signed = [*signed_answers(books.log)] if report.ok else []
    faults = tuple(Problem(message=f"the {it.what} in entry {it.seq} {it}", seq=it.seq) for it in signed if it.fault)
    report = report.model_copy(update={"problems": (*report.problems, *faults)})
    if as_json:
        show.as_json({**report.model_dump(mode="json"), "signed_answers": len(signed), "ok": report.ok})
    else:
        _print_report(report, len(signed))
    if not report.ok:
        raise typer.Exit(DOES_NOT_HOLD)


def _print_report(report: VerifyReport, signed: int) -> None:
    pairs: list[tuple[str, str | show.Text]] = [
        ("log", report.origin),
        ("entries", show.count(report.size)),
        ("root", report.root),
        ("checkpoints", f"{show.count(report.checkpoints)} compared, {report.outside} of them kept outside"),
    ]
    if len(report.keys) > 1:
        pairs.append(("keys", f"{len(report.keys)}, one after another; `{report.keys[-1]}` signs now"))
    if report.pruned:
        pairs.append(("pruned", f"entries 1 to {show.count(report.pruned)}, on record in entry {report.pruned_by}"))
    if signed:
        pairs.append(("answers", f"{show.count(signed)} signed, each compared with the key of who gave it"))
    show.fields([*pairs, ("verdict", show.word("holds" if report.ok else "broken"))])
    for problem in report.problems:
        show.failure(problem.message)
    for warning in report.warnings:
        show.note(f"warning: {warning}")


def _verify_proof(file: Path, verifier: Verifier | None, witnesses: list[Verifier], as_json: bool) -> None:
    if verifier is None:
        raise AuditError("a proof is checked with a public key that you trust", hint="give it with --public-key")
    proof = read_proof(file)
    if isinstance(proof, ConsistencyProof):
        old, new = proof.check(verifier)
        if as_json:
            show.as_json({"ok": True, "origin": new.origin, "old": old.size, "new": new.size})
            return
        says = f"the log of {show.count(old.size)} is the beginning of the log of {show.count(new.size)}"
        show.fields([("log", new.origin), ("entries", says), ("verdict", show.word("holds"))])
        return
    covering = proof.check(verifier, witnesses=witnesses)
    entry = proof.read()
    if as_json:
        show.as_json({"ok": True, "entry": entry.model_dump(mode="json"), "size": covering.size})
        return
    pairs: list[tuple[str, str | show.Text]] = [
        ("log", covering.origin),
        ("entry", f"{entry.seq} of {covering.size}: {entry.kind} {entry.effect} {entry.agent} {entry.tool}"),
    ]
    pairs += [("witness", f"{known.name}, {show.moment(proof.cosigned(known))}") for known in witnesses]
    show.fields([*pairs, ("verdict", show.word("holds"))])


def prove(
    context: typer.Context,
    seq: Annotated[
        int | None, typer.Argument(metavar="[SEQ]", min=1, help="Number of the entry, counted from 1.")
    ] = None,
    old: Annotated[
        int | None, typer.Option("--from", metavar="SIZE", min=1, help="Prove that nothing changed since this size …")
    ] = None,
    new: Annotated[
        int | None, typer.Option("--to", metavar="SIZE", min=1, help="… up to this one; the present size if left out.")
    ] = None,
    key: KeyOption = None,
    checkpoints: PlacesOption = None,
    store: StoreOption = None,
) -> None:
    """Print a proof, as JSON, that can be checked offline with the public key alone.

    With SEQ: one entry is in the log. With --from: the log of one checkpoint is the beginning of that of another.
    A checkpoint is signed for it. Where nothing may be written, or the key is not here, the last one has to cover it.
    """
    if (seq is None) is (old is None):
        raise AuditError("a proof is of one entry or between two sizes", hint="give either SEQ or --from SIZE")
    if new is not None and old is None:
        raise AuditError("`--to` needs the size that it is to be joined to", hint="give it with --from")

    def made(log: AuditLog) -> Proof | ConsistencyProof:
        return log.prove(seq) if seq is not None else log.prove_consistency(old or 0, new)

    try:
        with opened(context, store, write=True, key=key, signs=None, places=checkpoints or None) as books:
            proof = made(books.log)
    except StoreError as error:
        if not cannot_be_written(error):
            raise
        with opened(context, store, key=key) as books:
            proof = made(books.log)
    show.as_json(proof.model_dump(mode="json"))


def checkpoint(
    context: typer.Context,
    key: KeyOption = None,
    checkpoints: PlacesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the log as it stands and print the signed note (C2SP tlog-checkpoint)."""
    with opened(context, store, write=True, key=key, signs=True, places=checkpoints or None) as books:
        made = books.log.checkpoint()
        note, public = books.log.cosigned(made), str(books.log.verifier)
    if as_json:
        show.as_json({"origin": made.origin, "size": made.size, "root": made.root.hex(), "note": note, "key": public})
    else:
        show.lines(note)
        show.note(f"public key: {public}")


def rotate_key(
    context: typer.Context,
    by: ByOption,
    reason: ReasonOption = "",
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Write the new key here; where left out, it replaces the old one."),
    ] = None,
    key: KeyOption = None,
    checkpoints: PlacesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a new key sign from now on. Both keys sign that, and it is recorded; earlier checkpoints stay good."""
    with opened(context, store, write=True, key=key, signs=True, places=checkpoints or None) as books:
        rotation = books.log.rotate_key(by=by, reason=reason, to=to)
    if as_json:
        show.as_json({"size": rotation.size, "old": str(rotation.old), "new": str(rotation.new), "note": rotation.note})
        return
    show.fields(
        [
            ("old key", f"{rotation.old}, up to {show.count(rotation.size)} entries"),
            ("new key", str(rotation.new)),
        ]
    )
    if to is not None:
        show.note(f"the new key is in `{to}`: let OPENCLAW_KEY or --key name it from now on")


__all__ = ["checkpoint", "prove", "rotate_key", "verify"]
