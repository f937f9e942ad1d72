"""Reading the YAML files that people write: plain values only, each key once."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["parse_yaml"]


_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Refuses what plain settings do not need and what hides mistakes."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # merged, a few hundred bytes can stand for a billion entries
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "'<<' (a merge of mappings) is not read here", key.start_mark
                )

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and _NO_TEXT.search(value):  # escapes in quotes make them
            raise yaml.constructor.ConstructorError(
                None, None, "a NUL or half a surrogate pair is no text", node.start_mark
            )
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} is there twice", key.start_mark
                )
            seen.add(name)
        return mapping


def parse_yaml(text: str) -> Any:
    """The value that a YAML text stands for; tags of objects, merges and repeated keys are refused.

    Args:
        text: The text.

    Raises:
        ValueError: It is no such text; the message is one line, with the place.
    """
    try:
        # derived from SafeLoader, it makes plain values only
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # a date that does not exist and a number too long are ValueErrors of YAML's reader
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from None
