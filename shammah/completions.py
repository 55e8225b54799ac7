"""What OpenAI's clients send and get for completions and embeddings; holds no behaviour.

Fields of OpenAI's that have no meaning here are ignored, as OpenAI ignores unknown ones. What would
change the answer and cannot be done is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

#: Whatever version is active.
ACTIVE_MODEL = "shammah"

#: The active base, without what it was taught.
BASE_MODEL = "base"

#: OpenAI's own limit.
MOST_STOP_STRINGS = 4


def _unless(allowed: Any, why: str) -> BeforeValidator:
    """Refuses any other value than `allowed` and null, and says why."""

    def check(value: Any) -> Any:
        if value is not None and value != allowed:
            raise ValueError(why)
        return value

    return BeforeValidator(check)


def _few(stop: Any) -> Any:
    if isinstance(stop, list) and len(stop) > MOST_STOP_STRINGS:
        raise ValueError(f"at most {MOST_STOP_STRINGS} stop strings")
    return stop


One = Annotated[Literal[1] | None, _unless(1, "one answer a request is all that is given")]
No = Annotated[Literal[False] | None, _unless(False, "this is not offered")]
StopStrings = Annotated[list[str], Field(max_length=MOST_STOP_STRINGS)]


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Sampled(BaseModel):
    """What chat and text completions have in common."""

    model_config = ConfigDict(extra="ignore")

    model: str = ACTIVE_MODEL
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0.0, le=5.0)
    top_p: float | None = Field(None, ge=0.0, le=1.0)
    max_tokens: int | None = Field(None, ge=1)
    stop: Annotated[str | StopStrings | None, BeforeValidator(_few)] = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    frequency_penalty: float | None = Field(None, ge=-2.0, le=2.0)
    presence_penalty: float | None = Field(None, ge=-2.0, le=2.0)
    n: One = None

    @property
    def stop_strings(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


# --- chat -------------------------------------------------------------------------------------


class ContentPart(BaseModel):
    """A part of a message: text. Pictures, sound and files are refused, as no base sees them."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["text", "refusal"]
    text: str = ""
    refusal: str = ""


def _join_parts(content: Any) -> Any:
    """Text parts as one text; the error names the kind of a part, never what is in it."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    return "".join(_text_of(part) for part in content)


def _text_of(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in ("text", "refusal"):
        raise ValueError("only parts of the type text are understood: no picture, sound or file")
    text = part.get(kind, "")
    if not isinstance(text, str):
        raise ValueError("the text of a part is not a string")
    return text


Content = Annotated[
    str, BeforeValidator(_join_parts, json_schema_input_type=str | list[ContentPart] | None)
]


class ChatMessage(BaseModel):
    """One message. Content given as OpenAI's list of text parts is joined."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = ""


class JsonSchema(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(BaseModel):
    """How the answer must look: held to by a grammar, from the first token on."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("the type json_schema needs the field json_schema")
        return self

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The JSON schema that the answer matches; None: any text."""
        if self.type == "text":
            return None
        given = self.json_schema.schema_ if self.json_schema else None
        return given or {"type": "object"}


class ChatRequest(Sampled):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    logprobs: No = None
    session: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="Shammah's own: the session that the turn is recorded in"
    )

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


# --- text -------------------------------------------------------------------------------------


class CompletionRequest(Sampled):
    """POST /v1/completions: raw text goes on, without a chat template."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    best_of: One = None
    echo: No = None
    suffix: Annotated[Literal[""] | None, _unless("", "text before a suffix is not offered")] = None
    logprobs: Annotated[None, _unless(None, "log-probabilities are not told")] = None

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class CompletionChoice(BaseModel):
    index: int = 0
    text: str
    finish_reason: str | None
    logprobs: None = None


class Completion(BaseModel):
    """An answer of /v1/completions, and with a piece of the text a chunk of its stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


# --- embeddings -------------------------------------------------------------------------------


class EmbeddingRequest(BaseModel):
    """POST /v1/embeddings."""

    model_config = ConfigDict(extra="ignore")

    model: str = ACTIVE_MODEL
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[None, _unless(None, "the model has its own number of them")] = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class EmbeddingItem(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str  # base64: little-endian float32


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    object: Literal["list"] = "list"
    model: str
    data: list[EmbeddingItem]
    usage: EmbeddingUsage


# --- models -----------------------------------------------------------------------------------


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "shammah"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]
