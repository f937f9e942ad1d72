"""What every group of settings is built from."""

from __future__ import annotations

import json

from pydantic import (
    BaseModel,
    ConfigDict,
    field_validator,
)

__all__ = [
    "Section",
    "read_json",
]


class Section(BaseModel):
    """A frozen group of settings; an unknown one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_text(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:  # no path, command or name holds one
            raise ValueError("holds a NUL character")
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
        return json.loads(text or when_empty)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
