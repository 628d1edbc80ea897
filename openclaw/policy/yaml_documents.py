"""YAML as policies know it: no key twice, and nothing that is not JSON.

It is read as OPA reads it: `yes` and dates are texts, and `1e3` is a number (YAML 1.2), but `010` is eight (YAML 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, cast

import yaml

from openclaw.policy.documents import BadDocument

NODES_MAX = 1_000_000
"""Most values in a YAML document, each alias counted as what it stands for."""


def parse_yaml(text: str) -> object:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is no YAML.
        ValueError: it holds a number that Python does not read, or is nested too deep.
    """
    try:
        return yaml.load(text, Loader=JsonYaml)  # noqa: S506 - a SafeLoader with fewer types
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_yaml(text: str) -> object:
    """The value of a YAML text.

    Raises:
        BadDocument: it has none, and why in one line.
    """
    try:
        return parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise BadDocument(error.problem or "not YAML", line, column) from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadDocument(str(error).splitlines()[0]) from error


class JsonYaml(yaml.SafeLoader):
    """A loader of YAML that holds what JSON can hold, and not more of it than is written, nearly."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse what grows while it is read: aliases of lists of aliases, and aliases of what they stand in."""
        alias = bool(self.check_event(yaml.AliasEvent))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        node = super().compose_node(parent, index)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not isinstance(node, yaml.Node) or (alias and id(node) in self._sizes):
            return node
        below: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            below = node.value
        elif isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
        size = 1 + sum(self._sizes[id(part)] for part in below)
        if alias or size > NODES_MAX:  # An alias without a size is one of a value that is not complete yet.
            raise yaml.MarkedYAMLError(
                problem=f"it has more than {NODES_MAX:,} values, or one that holds itself", problem_mark=node.start_mark
            )
        self._sizes[id(node)] = size
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """An object; a key that is written twice is refused, where the library would take the last."""
        seen: set[object] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen:
                raise yaml.MarkedYAMLError(problem="an object names the same key twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """An integer: octal after a 0, as in YAML 1.1, and with letters of either case."""
        text = cast("str", node.value).replace("_", "").lower()
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", text)
        return int(f"{octal[1]}0o{octal[2]}" if octal else text, 0)


def _resolvers(*kinds: tuple[str, str, str]) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for kind, firsts, pattern in kinds:
        for first in firsts or ("",):
            found.setdefault(first, []).append((f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{pattern})\\Z")))
    return found


JsonYaml.add_constructor("tag:yaml.org,2002:int", JsonYaml.construct_int)  # pyright: ignore[reportUnknownMemberType]

_DIGITS = "0123456789"
JsonYaml.yaml_implicit_resolvers = _resolvers(
    ("bool", "tTfF", "true|True|TRUE|false|False|FALSE"),
    ("null", "~nN", "~|null|Null|NULL"),
    ("null", "", ""),
    ("int", f"+-{_DIGITS}", "[-+]?(0[bB][01_]+|0[oO][0-7_]+|0[0-7_]+|0[xX][0-9a-fA-F_]+|0|[1-9][0-9_]*)"),
    (
        "float",
        f"+-.{_DIGITS}",
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    ),
    ("merge", "<", "<<"),
)
