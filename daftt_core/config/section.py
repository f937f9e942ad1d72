"""What every group of settings is built from: its base, and kinds of values with their limits."""

from __future__ import annotations

import json
import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from daftt_core.records import parse_json

Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
NonNegative = Annotated[int, Field(ge=0, le=1_000_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
ProperShare = Annotated[float, Field(gt=0, lt=1)]
RunOfWords = Annotated[int, Field(ge=2, le=1000)]
BatchSize = Annotated[int, Field(ge=1, le=2**16)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
"""The name of an object in Kubernetes."""

# what bytes that are not UTF-8 become on a command line, and \ud800 in a file
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_TEXT = "holds half a surrogate pair, which is not text"


class Section(BaseModel):
    """A frozen group of settings; an unknown one is an error. A setting is described beneath it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        """Join the lines of each setting's description."""
        for field in cls.model_fields.values():
            if field.description:
                field.description = " ".join(field.description.split())

    @field_validator("*")
    @classmethod
    def _check_text(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:  # no path, command or name holds one
            raise ValueError("holds a NUL character")
        if isinstance(value, str) and _SURROGATE.search(value):
            raise ValueError(_NO_TEXT)
        return value


def read_json(text: str) -> object:
    """Return the value of a setting whose text is JSON.

    Raises:
        ValueError: It is no JSON that can be used; the message follows the setting's name.
    """
    try:
        value = parse_json(text)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(_NO_TEXT) from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value
