"""The shipped library: rule packages that are copied into a policy folder, and what each says of itself.

A package is a folder ``<name>/`` with ``<name>.rego`` (``package openclaw.policies.<name>``), its tests and the settings that
it reads at ``data.<name>``. What it says of itself are the package's ``# METADATA`` comments, YAML as Open Policy Agent
defines them (openpolicyagent.org, "Metadata"), with ``custom.owasp``, ``custom.ai_act`` and ``custom.settings``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from openclaw.errors import ConfigurationError, PolicyError
from openclaw.policy.bundle import combining_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One rule package of the library.

    Attributes:
        name: of its folder, of its package below ``openclaw.policies``, and of its settings below ``data``.
        title: one or two words.
        description: what it does, in a paragraph.
        owasp: entries of the OWASP Top 10 for Agentic Applications that it serves, such as ``ASI02``.
        ai_act: articles of Regulation (EU) 2024/1689 that it serves, such as ``Article 14``.
        settings: what each setting means.
        folder: where it lies.
    """

    name: str
    title: str
    description: str
    owasp: tuple[str, ...]
    ai_act: tuple[str, ...]
    settings: dict[str, str]
    folder: Path

    @property
    def files(self) -> dict[str, str]:
        """The texts of its files by name: rules, tests and settings."""
        found = sorted(path for path in self.folder.iterdir() if path.suffix in {".rego", ".json"})
        return {path.name: path.read_text(encoding="utf-8") for path in found}


def packages() -> list[Package]:
    """Every package of the library, by name.

    Raises:
        PolicyError: the library is not installed, or the metadata of a package cannot be read.
    """
    root = Path(combining_rules().shown).parent
    found = [folder for folder in sorted(root.iterdir()) if (folder / f"{folder.name}.rego").is_file()]
    return [_read(folder) for folder in found]


def choose(names: Iterable[str]) -> list[Package]:
    """The packages of these names, in their order, each once.

    Raises:
        ConfigurationError: there is no package of such a name.
        PolicyError: the library cannot be read.
    """
    known = {package.name: package for package in packages()}
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigurationError(
            f"the library has no package `{unknown[0]}`", hint=f"it has {', '.join(known)}: see `openclaw policy list`"
        )
    return [known[name] for name in wanted]


def metadata(text: str) -> dict[str, object]:
    """The annotations of the package in a Rego file: the ``# METADATA`` block right before ``package``; empty without one.

    Raises:
        ValueError: the block is not YAML, or not an object.
    """
    try:
        document: object = yaml.safe_load("\n".join(_block(text))) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"its metadata is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict):
        raise ValueError("its metadata is not an object")  # noqa: TRY004 - the file is wrong, not the caller
    return cast("dict[str, object]", document)


def _block(text: str) -> Iterator[str]:
    """The lines of the last metadata block before ``package``, without their comment signs."""
    block: list[str] | None = None
    for line in text.splitlines():
        if line.startswith("package "):
            yield from block or ()
            return
        if line.rstrip() == "# METADATA":
            block = []
        elif block is not None and line.startswith("#"):
            block.append(line[1:].removeprefix(" "))
        else:
            block = None


def _read(folder: Path) -> Package:
    file = folder / f"{folder.name}.rego"
    try:
        said = metadata(file.read_text(encoding="utf-8"))
        custom = _object(said, "custom")
        return Package(
            name=folder.name,
            title=_text(said, "title"),
            description=_text(said, "description"),
            owasp=_texts(custom, "owasp"),
            ai_act=_texts(custom, "ai_act"),
            settings={name: str(meaning) for name, meaning in _object(custom, "settings").items()},
            folder=folder,
        )
    except (OSError, ValueError) as error:
        raise PolicyError(f"the shipped policy `{file}` cannot be read: {error}") from error


def _text(fields: dict[str, object], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"its metadata has no text `{key}`")
    return value.strip()


def _texts(fields: dict[str, object], key: str) -> tuple[str, ...]:
    value = fields.get(key)
    if isinstance(value, list):
        return tuple(str(member) for member in cast("list[object]", value))
    raise ValueError(f"its metadata has no list `{key}`")


def _object(fields: dict[str, object], key: str) -> dict[str, object]:
    value = fields.get(key)
    if isinstance(value, dict):
        return {str(name): member for name, member in cast("dict[object, object]", value).items()}
    raise ValueError(f"its metadata has no object `{key}`")
