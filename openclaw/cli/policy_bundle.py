"""``openclaw policy bundle``: build a bundle from a folder, or look into one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from pydantic import JsonValue

from openclaw.cli import DOES_NOT_HOLD, show
from openclaw.cli.files import write_file
from openclaw.cli.options import JsonOption
from openclaw.errors import ConfigurationError, PolicyError, PolicyUnavailable
from openclaw.policy import BundleFile, Key, check
from openclaw.policy.archive import unpack
from openclaw.policy.building import Built, build
from openclaw.policy.bundle import Bundle
from openclaw.policy.contents import Contents, is_rules, is_test, read_folder
from openclaw.policy.embedded import open_bundle
from openclaw.policy.source import read_policies
from openclaw.policy.spec import BYTES_MAX, Algorithm

_ALGORITHMS = ", ".join(get_args(Algorithm))


def run(
    path: Annotated[Path, typer.Argument(metavar="FOLDER|BUNDLE", help="The folder to build from, or the bundle.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="The bundle to write. [bundle.tar.gz]"),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            show_default=False,
            help="To sign: a private key (PEM), or a secret. To verify: the public key, or the secret.",
        ),
    ] = None,
    algorithm: Annotated[
        str, typer.Option("--algorithm", metavar="NAME", help=f"What the key is for: {_ALGORITHMS}.")
    ] = "RS256",
    key_id: Annotated[str, typer.Option("--key-id", metavar="NAME", help="The key's name in the signature.")] = "",
    scope: Annotated[str, typer.Option("--scope", metavar="NAME", help="The scope of the signature.")] = "",
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="TEXT", show_default=False, help="What the manifest says. [the digest]"),
    ] = None,
    decision: Annotated[
        bool,
        typer.Option("--decision/--no-decision", help="Put the combining rules in, for an OPA server by itself."),
    ] = True,
    tests: Annotated[bool, typer.Option("--tests/--no-tests", help="Run the tests, and put them in.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Build a bundle (.tar.gz) from a folder after checking it, or look into one and verify it. Exit code 1 if it is bad."""
    given = Key(key, cast("Algorithm", algorithm), key_id, scope) if key is not None else None
    try:
        if path.is_dir():
            built = _build(path, given, revision, decision=decision, tests=tests)
            write_file(output or Path("bundle.tar.gz"), built.content)
            _say_built(output or Path("bundle.tar.gz"), built, given, as_json=as_json)
        else:
            _refuse_settings(path, output=output, revision=revision)
            _look(path, given, as_json=as_json)
    except PolicyUnavailable:
        raise
    except PolicyError as error:
        if as_json:
            found: list[JsonValue] = [
                {"file": it.file, "line": it.line, "column": it.column, "message": it.message, "hint": it.hint}
                for it in error.diagnostics
            ]
            show.as_json({"ok": False, "message": error.message, "hint": error.hint, "diagnostics": found})
        else:
            for diagnostic in error.diagnostics:
                show.lines(show.safe(str(diagnostic)))
            show.failure(f"{error.message}; {error.hint}" if error.hint else error.message)
        raise typer.Exit(DOES_NOT_HOLD) from error


def _build(folder: Path, key: Key | None, revision: str | None, *, decision: bool, tests: bool) -> Built:
    wrong = [it for it in check(folder) if it.severity == "error"]
    if wrong:
        raise PolicyError(f"policy folder `{folder}` is not built into a bundle", diagnostics=wrong)
    return build(read_folder(folder), key=key, revision=revision, decision=decision, tests=tests)


def _refuse_settings(path: Path, *, output: Path | None, revision: str | None) -> None:
    if not path.exists():
        raise ConfigurationError(f"`{path}` does not exist", hint="give a folder of policies, or a bundle")
    if output is not None or revision is not None:
        raise ConfigurationError(f"`{path}` is no folder to build from", hint="leave out --output and --revision")


def _say_built(path: Path, built: Built, key: Key | None, *, as_json: bool) -> None:
    signed = f"{key.algorithm} {key.id}".strip() if key is not None else "none"
    passed = built.report.count("pass")
    if as_json:
        show.as_json(
            {
                "ok": True,
                "bundle": str(path),
                "bytes": len(built.content),
                "revision": built.bundle.revision,
                "named": built.manifest.revision,
                "roots": [*built.manifest.shown_roots],
                "signature": signed if key is not None else None,
                "tests": passed,
                "files": [*built.files],
            }
        )
        return
    show.fields(
        [
            ("wrote", str(path)),
            ("files", ", ".join(built.files)),
            ("revision", built.bundle.revision),
            *([("named", built.manifest.revision)] if built.manifest.revision != built.bundle.revision else []),
            ("roots", ", ".join(built.manifest.shown_roots)),
            ("signature", signed),
            ("tests", f"{show.count(passed)} passed"),
        ]
    )


def _look(path: Path, key: Key | None, *, as_json: bool) -> None:
    if key is not None:
        contents = read_policies(BundleFile(path, key=key))
        signature = f"holds ({contents.signed})"
    else:
        contents, signature = _unverified(path)
    bundle = Bundle.assemble(contents)
    with contextlib.closing(open_bundle(bundle)) as engine:
        name = engine.name
    files = [(file, _kind(file), len(content)) for file, content in sorted(contents.files.items())]
    if as_json:
        listed: list[JsonValue] = [{"path": file, "kind": kind, "bytes": size} for file, kind, size in files]
        show.as_json(
            {
                "ok": True,
                "bundle": str(path),
                "engine": name,
                "revision": bundle.revision,
                "named": contents.manifest.revision,
                "roots": [*contents.manifest.shown_roots],
                "metadata": dict(contents.manifest.metadata),
                "signature": signature,
                "files": listed,
            }
        )
        return
    columns = [show.Column("file", wide=True), show.Column("kind"), show.Column("bytes", justify="right")]
    show.table(columns, [(file, kind, show.count(size)) for file, kind, size in files])
    show.lines("")
    show.fields(
        [
            ("bundle", show.word("ok")),
            ("engine", name),
            ("revision", bundle.revision),
            *([("named", contents.manifest.revision)] if contents.manifest.revision else []),
            ("roots", ", ".join(root or "everything" for root in contents.manifest.shown_roots)),
            ("signature", signature),
        ]
    )


def _unverified(path: Path) -> tuple[Contents, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyUnavailable(f"bundle `{path}` cannot be read: {(error.strerror or '').lower()}") from error
    contents = unpack(content, shown=str(path), keys=None, bytes_max=BYTES_MAX)
    return contents, "not verified: give --key" if contents.signed else "none"


def _kind(file: str) -> str:
    return "tests" if is_test(file) else "rules" if is_rules(file) else "data"
