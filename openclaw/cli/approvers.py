"""``openclaw approvals enroll``, ``withdraw`` and ``approvers``: who may answer, for which roles, and what proves it is they."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from openclaw.approvers import Approver, new_token
from openclaw.audit import Signer
from openclaw.audit.keys import write_new
from openclaw.cli import show
from openclaw.cli.books import opened
from openclaw.cli.options import ByOption, JsonOption, StoreOption
from openclaw.errors import AuditError, ConfigurationError

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person, as they answer and as the log names them.")]


def enroll(
    context: typer.Context,
    name: Name,
    by: ByOption,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="A role. May be given again.")] = None,
    public_key: Annotated[
        str, typer.Option(metavar="KEY", help="Their public key, name+id+base64; they keep the other half.")
    ] = "",
    new_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="Make a key for them in this file, which only they may have."
        ),
    ] = None,
    token: Annotated[bool, typer.Option("--new-token", help="Make a token for them, which is printed once.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol a person who may answer, with their roles; or change what is known of them. Whoever has a key or a token answers
    with it from then on."""
    if public_key and new_key is not None:
        raise ConfigurationError("there are two keys", hint="give `--public-key` or `--new-key`")
    said, digest = new_token() if token else ("", "")
    with opened(context, store, write=True) as books:
        known = books.approvers.find(name)
        key = _made(new_key, name) if new_key is not None else public_key
        approver = Approver(
            name=name,
            roles=tuple(role) if role else known.roles if known else (),
            key=key or (known.key if known else ""),
            token=digest or (known.token if known else ""),
        )
        books.approvers.enroll(approver, by=by)
    if as_json:
        show.as_json({**_as_json(approver), **({"new_token": said} if said else {})})
        return
    pairs = [("enrolled", _brief(approver))]
    pairs += [("key", approver.key)] if approver.key else []
    pairs += [("token", said)] if said else []
    show.fields(pairs)
    if said:
        show.note("the token is shown once; the store keeps its digest")


def withdraw(
    context: typer.Context, name: Name, by: ByOption, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Take a person off the list of approvers. What they proved, and nobody has acted on yet, counts no more."""
    with opened(context, store, write=True) as books:
        found = books.approvers.withdraw(name, by=by)
    if as_json:
        show.as_json(_as_json(found))
    else:
        show.fields([("withdrawn", _brief(found))])


def list_approvers(context: typer.Context, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the people who are enrolled: their roles, and what they prove with who they are."""
    with opened(context, store) as books:
        found = books.approvers.list()
    if as_json:
        show.as_json_list(_as_json(one) for one in found)
        return
    if not found:
        show.note("nobody is enrolled")
        return
    columns = [show.Column("name"), show.Column("roles", wide=True), show.Column("proves it with")]
    show.table(columns, [(one.name, ", ".join(one.roles), _proof(one)) for one in found])


def _made(file: Path, name: str) -> str:
    """The public half of a new key, whose other half is in ``file`` now.

    Raises:
        AuditError: the file is there already, or cannot be made.
    """
    signer = Signer.generate(re.sub(r"[\s+]+", ".", name.strip()))
    if not write_new(file, signer.text(), what="key of an approver"):
        raise AuditError(f"`{file}` is there already", hint="name a file that is not")
    return str(signer.verifier)


def _brief(approver: Approver) -> str:
    roles = f" ({', '.join(approver.roles)})" if approver.roles else ""
    return f"{approver.name}{roles}, {_proof(approver)}"


def _proof(approver: Approver) -> str:
    having = [word for word, has in (("key", approver.key), ("token", approver.token)) if has]
    return " or ".join(having) or "name alone"


def _as_json(approver: Approver) -> dict[str, JsonValue]:
    return {"name": approver.name, "roles": [*approver.roles], "key": approver.key, "token": bool(approver.token)}


__all__ = ["enroll", "list_approvers", "withdraw"]
