"""What every group of settings is built from."""

from __future__ import annotations

import json
import re

from pydantic import (
    BaseModel,
    ConfigDict,
    field_validator,
)

# what bytes that are not UTF-8 become on a command line, and \ud800 in a file
_SURROGATE = re.compile("[\ud800-\udfff]")


class Section(BaseModel):
    """A frozen group of settings; an unknown one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_text(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:  # no path, command or name holds one
            raise ValueError("holds a NUL character")
        if isinstance(value, str) and _SURROGATE.search(value):
            raise ValueError("holds half a surrogate pair, which is no text")
        return value


def parse_json(text: str) -> object:
    """The value that a JSON text stands for.

    Raises:
        ValueError: It is no JSON, is nested too deeply, or holds half a surrogate pair.
    """
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair, which is no text") from None
    except RecursionError:
        raise ValueError("is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    return value


def read_json(name: str, text: str, when_empty: str) -> object:
    """What a setting holds as JSON.

    Args:
        name: The setting, for the message.
        text: Its text.
        when_empty: What counts where the text is empty.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return parse_json(text or when_empty)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
