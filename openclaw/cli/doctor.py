"""``openclaw doctor``: which engine, store, key and optional parts are live, and what to do about what is not."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from openclaw.audit import AuditLog, Checkpoint, Place, Witness, key_files, newest, open_key, open_places
from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.options import JsonOption, StoreOption, store_url
from openclaw.errors import AuditError, StoreError
from openclaw.review import health
from openclaw.review.health import Finding
from openclaw.store import Store


def doctor(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say what is live and what is not, and what to do about it. Exit code 1 if something is broken."""
    findings = [health.engine(), health.sqlite(), *_store(store_url(context, store)), *health.optional_parts()]
    broken = any(finding.state == "broken" for finding in findings)
    if as_json:
        show.as_json({"ok": not broken, "findings": [finding.model_dump(mode="json") for finding in findings]})
    else:
        show.fields(
            line
            for finding in findings
            for line in (
                (finding.part, _state(finding)),
                *([("", show.plain_text(f"        → {finding.todo}"))] if finding.todo else []),
            )
        )
    if broken:
        raise typer.Exit(DOES_NOT_HOLD)


def _state(finding: Finding) -> show.Text:
    return show.Text.assemble(show.word(finding.state), " " * (8 - len(finding.state)), show.safe(finding.says))


def _store(url: str) -> Iterator[Finding]:
    try:
        store = Store.open(url, create=False, readonly=True)
    except StoreError as error:
        missing = error.message.startswith("there is no database")
        todo = "it is made when a Governance is first opened on it; --store names another" if missing else error.hint
        yield Finding(part="store", state="absent" if missing else "broken", says=error.message, todo=todo)
        return
    try:
        with store.peek() as connection:
            dialect = connection.dialect
            version = ".".join(map(str, dialect.server_version_info or ()))
        yield Finding(
            part="store",
            state="ok",
            says=f"{dialect.name} {version}, log `{store.origin}`, at {health.without_password(url)}",
        )
        yield _key(store)
        yield from _places(store)
    finally:
        store.close()


def _key(store: Store) -> Finding:
    secret, _ = key_files(store)
    try:
        signer = open_key(store)
    except AuditError as error:
        if "is not at" not in error.message:
            return Finding(part="key", state="broken", says=error.message, todo=error.hint)
        return Finding(
            part="key",
            state="absent",
            says=f"no signing key at `{secret}`",
            todo="it is made when a Governance is first opened; on another machine, name it with OPENCLAW_KEY",
        )
    return Finding(part="key", state="ok", says=str(signer.verifier))


def _places(store: Store) -> Iterator[Finding]:
    """Each place in which checkpoints are kept outside the database: whether it answers, and what it has."""
    try:
        log = AuditLog(store, None, outside=open_places(store, None))
    except AuditError as error:
        yield Finding(part="checkpoints", state="broken", says=error.message, todo=error.hint)
        return
    last = log.last_checkpoint()
    for place in log.outside:
        try:
            yield _place(place, last, store.origin)
        except AuditError as error:
            yield Finding(part="checkpoints", state="broken", says=error.message, todo=error.hint)


def _place(place: Place, last: Checkpoint | None, origin: str) -> Finding:
    if isinstance(place, Witness) and last is not None:
        place.keep([last])  # gives its cosignature, or says what is wrong
    notes = place.kept(origin)
    if last is not None and not notes:
        return Finding(
            part="checkpoints",
            state="broken",
            says=f"none in `{place}`, though the log has signed some: they were removed, or could never be kept there",
            todo="see `openclaw audit verify`; `openclaw audit checkpoint` signs a new one",
        )
    if not notes:
        return Finding(part="checkpoints", state="ok", says=f"none yet in `{place}`")
    size = newest(notes)
    behind = f", {last.size - size} entries behind the log's last one" if last is not None and size < last.size else ""
    return Finding(
        part="checkpoints", state="ok", says=f"{len(notes)} in `{place}`, the newest of {size} entries{behind}"
    )
