"""What answers of a completions server must contain, in the forms that servers use."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from daftt_core.errors import shortened

_ROUNDING = 1e-3
_LOWEST = -3.5e38  # llama.cpp returns the lowest float32 for a probability of 0


_TOKEN_ID = re.compile(r"token_id:([0-9]{1,10})")


class UnusableAnswerError(Exception):
    """An answer is not of the requested form; the message says why in a few words."""


def _readable(text: Any) -> Any:
    """Replace halves of surrogate pairs, which cannot be written, by U+FFFD."""
    if not isinstance(text, str):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _log_prob(value: float) -> float:
    if not _LOWEST <= value <= _ROUNDING:  # NaN, too
        raise ValueError("cannot be a log-probability")
    return min(value, 0.0)


def _probability(value: float) -> float:
    if not 0.0 <= value <= 1.0 + _ROUNDING:
        raise ValueError("cannot be a probability")
    return min(value, 1.0)


_Text = Annotated[str, BeforeValidator(_readable)]
_LogProb = Annotated[float, AfterValidator(_log_prob)]
_Probability = Annotated[float, AfterValidator(_probability)]
_Count = Annotated[int, Field(ge=0, le=2**40)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Usage(_Part):
    """Tokens that the server has read and written; not all servers say it."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None


class ServerAnswer(_Part):
    """Any answer."""

    usage: Usage | None = None


class _Model(_Part):
    id: _Text


class Models(ServerAnswer):
    """``/v1/models``: the models that the server has."""

    data: tuple[_Model, ...] | None


class Tokens(ServerAnswer):
    """``/tokenize`` of vLLM, SGLang and llama.cpp: a text's tokens."""

    tokens: tuple[_Count, ...] = Field(min_length=1)


class _Listed(_Part):
    id: _Count
    logprob: _LogProb


class Step(_Part):
    """A written token with the most probable ones in its place; ids are llama.cpp's."""

    id: _Count | None = None
    logprob: _LogProb
    top_logprobs: tuple[_Listed, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _keep_alternatives_that_have_ids(cls, step: Any) -> Any:
        """Drop the alternatives of servers that name tokens by their text."""
        if isinstance(step, dict) and step.get("id") is None:
            return {**step, "top_logprobs": None}
        return step


class LogProbs(_Part):
    """Log-probabilities, in either of the two forms that servers use."""

    content: tuple[Step, ...] | None = None
    tokens: tuple[_Text, ...] | None = None
    token_logprobs: tuple[_LogProb | None, ...] | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> LogProbs:
        if self.tokens and len(self.tokens) != len(self.token_logprobs or ()):
            raise ValueError("there must be as many tokens as token_logprobs")
        return self

    def written(self) -> list[float]:
        """Return those of the written tokens, as far as the server states them."""
        if self.content is not None:
            return [step.logprob for step in self.content]
        return [value for value in self.token_logprobs or () if value is not None]


class Choice(_Part):
    """A text that the model wrote."""

    text: _Text
    finish_reason: str | None = None
    logprobs: LogProbs | None = None


class Completions(ServerAnswer):
    """``/v1/completions``."""

    choices: tuple[Choice, ...] = Field(min_length=1)


class _TopLogProbs(_Part):
    top_logprobs: tuple[dict[str, _LogProb] | None, ...] | None = None


class _ChosenChoice(_Part):
    logprobs: _TopLogProbs | None = None

    def log_probs(self) -> dict[int, float]:
        """Return the log-probabilities of the first written token's place, by token."""
        if self.logprobs is None or not self.logprobs.top_logprobs:
            return {}
        named = (self.logprobs.top_logprobs[0] or {}).items()
        return {
            int(number[1]): value for name, value in named if (number := _TOKEN_ID.fullmatch(name))
        }


class ChosenTokens(ServerAnswer):
    """``/v1/completions`` of vLLM where ``return_tokens_as_token_ids`` is set.

    A token's name is then ``token_id:`` and its number.
    """

    choices: tuple[_ChosenChoice, ...] = Field(min_length=1)


class Scores(ServerAnswer):
    """``/v1/score`` of SGLang: for each text, the probabilities of the tokens asked about."""

    scores: tuple[tuple[_Probability, ...], ...] = Field(min_length=1)


A = TypeVar("A", bound=ServerAnswer)


def read_answer(body: bytes, model: type[A]) -> A:
    """Read an answer's body.

    Raises:
        UnusableAnswerError: It is no such answer.
    """
    try:
        return model.model_validate(read_json(body))
    except ValidationError as error:
        raise UnusableAnswerError(_describe(error.errors()[0])) from None


def _describe(mistake: Any) -> str:
    field = ".".join(map(str, mistake["loc"])) or "it"
    if mistake["type"] == "missing":
        return f"{field} is missing"
    content = mistake["input"]
    if isinstance(content, dict | list | tuple):
        kind = "object" if isinstance(content, dict) else "list"
        return f"{field} is {'a filled' if content else 'an empty'} {kind}"
    return f"{field} is {'null' if content is None else shortened(repr(content))}"


def read_json(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        UnusableAnswerError: It is not JSON.
    """
    try:
        return json.loads(body)
    except ValueError:
        raise UnusableAnswerError("it is not JSON") from None
    except RecursionError:
        raise UnusableAnswerError("it is JSON that is nested too deeply") from None
