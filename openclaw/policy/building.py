"""Building a bundle from a policy folder: checked, with its roots written down, and signed if there is a key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from openclaw.errors import ConfigurationError
from openclaw.policy.archive import pack
from openclaw.policy.bundle import DECISION_FILE, Bundle, combining_rules
from openclaw.policy.contents import MANIFEST, Contents, is_rules, is_test
from openclaw.policy.embedded import open_bundle
from openclaw.policy.manifest import ROOT, Manifest, Path
from openclaw.policy.scan import scan
from openclaw.policy.signature import SIGNATURES, sign
from openclaw.policy.spec import Key
from openclaw.policy.testing import Report, run_tests_in


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle as bytes, with what it came from. ``report`` is of its tests; empty where they were not run."""

    content: bytes
    bundle: Bundle
    manifest: Manifest
    files: tuple[str, ...]
    report: Report


def build(
    contents: Contents,
    *,
    key: Key | None = None,
    revision: str | None = None,
    decision: bool = True,
    tests: bool = True,
) -> Built:
    """A bundle of a policy folder. The same folder gives the same bytes.

    Args:
        contents: of the folder. Its ``.manifest``, if it has one, says roots and metadata; else the roots are what is in it.
        key: signs it.
        revision: what the manifest names it; None: the digest of its content.
        decision: put the combining rules in, so that an OPA server can decide by it without anything else.
        tests: put the tests in, and run them; a bundle whose tests fail is not built.

    Raises:
        PolicyError: the policies cannot be used, a test fails, or it cannot be signed.
        ConfigurationError: the tests cannot be run here.
    """
    bundle = Bundle.assemble(contents)
    open_bundle(bundle).close()
    report = Report(())
    if tests:
        report = run_tests_in(contents, bundle).require(contents.what)
    files = {path: content for path, content in contents.files.items() if is_rules(path) or (tests and is_test(path))}
    files = {path: content for path, content in files.items() if content != combining_rules().text.encode()}
    if decision:
        files[DECISION_FILE] = combining_rules().text.encode()
    # One file of JSON for all data, as `opa build` makes it: there is nothing in it that two readers could read otherwise.
    files["data.json"] = bundle.data
    roots = contents.manifest.roots if contents.manifest.roots != (ROOT,) else _roots(files, bundle)
    manifest = Manifest(revision or bundle.revision, roots, contents.manifest.metadata)
    _check_decision(manifest, decision=decision)
    files[MANIFEST] = manifest.encode()
    if key is not None:
        files[SIGNATURES] = sign(files, key)
    return Built(pack(files), bundle, manifest, tuple(sorted(files)), report)


def _roots(files: Mapping[str, bytes], bundle: Bundle) -> tuple[Path, ...]:
    """The top of every package and every part of the data: so much of the policy document belongs to the bundle."""
    packages = [scan(text.decode("utf-8", "replace")).package for path, text in files.items() if path.endswith(".rego")]
    data = cast("dict[str, JsonValue]", json.loads(bundle.data))
    return tuple((name,) for name in sorted({package.path[0] for package in packages if package} | data.keys()))


def _check_decision(manifest: Manifest, *, decision: bool) -> None:
    if decision and not manifest.permits(("openclaw",)):
        raise ConfigurationError(
            f"the roots of its `{MANIFEST}` leave no place for the combining rules",
            hint="add `openclaw` to them, or leave the rules out: `--no-decision`",
        )
