"""YAML of plain values only: without what hides mistakes, or makes much of a small text."""

from __future__ import annotations

import re
from typing import Any

import yaml

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """A loader that refuses features which plain settings do not need and which hide mistakes."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # merged, a few hundred bytes can stand for a billion entries
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "'<<' (a merge of mappings) is not supported", key.start_mark
                )

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and _NO_TEXT.search(value):  # escapes in quotes make them
            raise yaml.constructor.ConstructorError(
                None, None, "a NUL or half a surrogate pair is not text", node.start_mark
            )
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} occurs twice", key.start_mark
                )
            seen.add(name)
        return mapping


def load(text: str) -> Any:
    """Return the value of a YAML text; refuse tags of objects, merges and repeated keys.

    Raises:
        ValueError: It is not such a text; the message is one line, with the place.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, for plain values only
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # a date that does not exist and a number too long are ValueErrors of YAML's reader
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None
