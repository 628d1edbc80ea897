"""What a person proves on the command line who they are with: a key that signs, or a token, each in a file or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from openclaw.answers import Said
from openclaw.approvers import sign
from openclaw.audit import Signer
from openclaw.audit.keys import KEY_MARK
from openclaw.cli.books import Books
from openclaw.errors import ConfigurationError
from openclaw.review.verdicts import Prover

KEY_VARIABLE = "OPENCLAW_APPROVER_KEY"
TOKEN_VARIABLE = "OPENCLAW_APPROVER_TOKEN"  # noqa: S105 - the name of a variable

SignWithOption = Annotated[
    str | None,
    typer.Option(
        "--sign-with",
        metavar="FILE",
        show_default=False,
        help=f"Your own key, which signs the answer. Default: {KEY_VARIABLE} (a file, or the key itself).",
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        show_default=False,
        help=f"File with your token. Default: {TOKEN_VARIABLE} (the token itself).",
    ),
]


def said(
    books: Books,
    question: str,
    *,
    by: str,
    approve: bool,
    reason: str,
    args: Mapping[str, object] | None = None,
    sign_with: str | None = None,
    token_file: Path | None = None,
) -> Said:
    """What somebody says, with what proves who they are if they have given anything.

    Raises:
        ApprovalError: there is no such question.
        AuditError: the key cannot be read, or arguments are changed and the log's key is not here.
        ConfigurationError: the file with the token cannot be read.
    """
    changes = dict(args or {})
    signed = ""
    key = approver_key(sign_with)
    if key is not None and by.strip():
        text = books.answers.statement(question, by=by, approve=approve, args=changes)
        signed = sign(text, key)
    token = "" if signed else approver_token(token_file)
    return Said(by=by, approve=approve, reason=reason, args=changes, signed=signed, token=token)


def approver_key(told: str | None) -> Signer | None:
    """The key that was named, or stands in the environment.

    Raises:
        AuditError: it cannot be read.
    """
    where = told or os.environ.get(KEY_VARIABLE)
    if not where:
        return None
    return (
        Signer.parse(where, where=KEY_VARIABLE)
        if where.startswith(KEY_MARK)
        else Signer.load(Path(where), "", create=False)
    )


def approver_token(file: Path | None) -> str:
    """The token that was named, or stands in the environment; empty where there is none.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the token in `{file}` cannot be read: {error}", hint="name a file with one token"
        ) from error


def prover_of(books: Books, sign_with: str | None = None, token_file: Path | None = None) -> Prover:
    """What proves who reviews.

    Raises:
        AuditError: the key cannot be read.
        ConfigurationError: the file with the token cannot be read.
    """
    key = approver_key(sign_with)
    return Prover(books.approvers, key, "" if key is not None else approver_token(token_file))


__all__ = ["SignWithOption", "TokenOption", "approver_key", "approver_token", "prover_of", "said"]
