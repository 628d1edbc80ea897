"""JSON and YAML as policies know them: no key twice, nothing that is not JSON, and no dates, which OPA reads as text."""

from __future__ import annotations

import json
from collections.abc import Callable

import yaml


class _Literal(float):
    """A number that is remembered as it was written."""

    text: str


def parse_json(text: str, *, literal: bool = False) -> object:
    """The value of a JSON text.

    Args:
        literal: numbers stay as they are written, for ``number_text``.

    Raises:
        ValueError: it is no JSON, names a key of an object twice, or is nested too deep.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("an object names the same key twice")
        return fields

    def never(name: str) -> object:
        raise ValueError(f"`{name}` is not JSON")

    number: Callable[[str], object] | None = _literal if literal else None
    try:
        return json.loads(
            text,
            object_pairs_hook=once,
            parse_constant=never,
            parse_int=number,
            parse_float=number,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def parse_yaml(text: str) -> object:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is no YAML.
        ValueError: it holds a number that Python does not read, or is nested too deep.
    """
    try:
        return yaml.load(text, Loader=_JsonYaml)  # noqa: S506 - a SafeLoader with fewer types
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def number_text(value: object) -> str | None:
    """A number as it was written, where ``parse_json`` was told to remember; else None."""
    return value.text if isinstance(value, _Literal) else None


def _literal(text: str) -> _Literal:
    number = _Literal(0.0)  # Its text is all that is asked of it, and it may be larger than any float.
    number.text = text
    return number


class _JsonYaml(yaml.SafeLoader):
    """YAML as JSON: no dates."""


_JsonYaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
