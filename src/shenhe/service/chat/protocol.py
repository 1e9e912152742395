"""A chat request as it is sent: OpenAI's fields, vLLM's, and those of ms-swift's client.

What would change the answer and is not done here is refused by name; what changes nothing passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shenhe.row_types import describe_invalid
from shenhe.service.refusals import RefusedError

MAX_SEED: Final = 2**63 - 1
MAX_MESSAGES: Final = 1000
MAX_STOP: Final = 200
ANY: Final = object()
"""Any value leaves the answer as it is."""
NEUTRAL: Final[Mapping[str, tuple[object, ...]]] = {
    **dict.fromkeys(
        ("user", "metadata", "store", "service_tier", "parallel_tool_calls", "request_id"), (ANY,)
    ),
    **dict.fromkeys(("safety_identifier", "prompt_cache_key", "include_reasoning"), (ANY,)),
    **dict.fromkeys(("priority", "return_details", "spaces_between_special_tokens"), (ANY,)),
    **dict.fromkeys(("frequency_penalty", "presence_penalty", "min_tokens"), (0,)),
    **dict.fromkeys(("n", "num_beams", "length_penalty", "best_of"), (1,)),
    **dict.fromkeys(("tools", "functions", "stop_token_ids", "bad_words"), ([],)),
    **dict.fromkeys(("audios", "videos"), ([],)),
    **dict.fromkeys(("logit_bias", "objects", "chat_template_kwargs"), ({},)),
    **dict.fromkeys(("mm_processor_kwargs", "media_io_kwargs"), ({},)),
    **dict.fromkeys(("use_beam_search", "ignore_eos", "echo", "continue_final_message"), (False,)),
    **dict.fromkeys(("include_stop_str_in_output", "add_special_tokens"), (False,)),
    "add_generation_prompt": (True,),
    "tool_choice": ("none", "auto"),
    "modalities": (["text"],),
}
"""Fields that may be there with these values, or null: with others they would ask for what is not
done here."""


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Address(_Sent):
    """Where a photo is: a data: URL, or one of a host that may be reached."""

    url: str


class SentPart(_Sent):
    """A part of a message: `image_url` as OpenAI has it, `image` as ms-swift does."""

    type: Literal["text", "input_text", "image_url", "input_image", "image"]
    text: str | None = None
    image_url: Address | str | None = None
    image: Address | str | None = None

    @property
    def photo(self) -> str | None:
        """The address of its photo; None for a text."""
        if self.type in ("text", "input_text"):
            return None
        found = self.image if self.type == "image" else self.image_url
        address = found.url if isinstance(found, Address) else found
        if not address:
            raise RefusedError(400, "malformed_body", f"messages: {self.type} without an address")
        return address


class SentMessage(_Sent):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[SentPart] | None = None


class StreamOptions(_Sent):
    """Options of a stream."""

    include_usage: bool = False


class JsonSchema(_Sent):
    """A schema with a name, which says nothing."""

    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(_Sent):
    """The form of an answer as OpenAI has it."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StructuredOutputs(_Sent):
    """The form of an answer as vLLM has it: one of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    json_: str | dict[str, Any] | None = Field(None, alias="json")
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    disable_any_whitespace: bool = False
    disable_additional_properties: Literal[False] = False
    whitespace_pattern: None = None


class SentGrammar(_Sent):
    """A grammar of one of shenhe's own formats, as its server engine sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["caption", "summary", "verdict"]
    lark: str
    regex: str
    photos: int = Field(0, ge=0, le=10_000)
    highest: int = Field(0, ge=0, le=1_000_000)
    is_foreign: bool = False


class ChatRequest(BaseModel):
    """A request for a chat completion."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    messages: list[SentMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str | None = None
    images: list[str] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=MAX_SEED)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    seed: Annotated[int, Field(ge=-MAX_SEED, le=MAX_SEED)] | None = None
    stop: (
        Annotated[str, Field(max_length=MAX_STOP)]
        | Annotated[list[Annotated[str, Field(max_length=MAX_STOP)]], Field(max_length=16)]
        | None
    ) = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    skip_special_tokens: bool | None = True
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    shenhe_grammar: SentGrammar | None = None

    def without_content(self) -> ChatRequest:
        """Give what says how the answer is written: the photos are large, and the answer is long.

        >>> chat = ChatRequest.model_validate({"messages": [{"role": "user"}], "stream": True})
        >>> chat.without_content().stream, chat.without_content().messages
        (True, [])
        """
        names = ("stream", "stream_options", "logprobs", "skip_special_tokens")
        kept = {name: getattr(self, name) for name in names}
        return ChatRequest.model_construct(messages=[], **kept)

    def check_fields(self) -> None:
        """Refuse fields that ask for what is not done here, and those that nobody knows.

        Raises: RefusedError that names the first of them.
        """
        for name, value in (self.model_extra or {}).items():
            shown = name[:100]
            if name not in NEUTRAL:
                raise RefusedError(400, "unknown_field", f"{shown}: there is no such field")
            allowed = NEUTRAL[name]
            if value is not None and ANY not in allowed and value not in allowed:
                problem = f"{shown}: only {allowed[0]!r} is done here"
                raise RefusedError(400, "unsupported_field", problem)
        if self.top_logprobs is not None and not self.logprobs:
            raise RefusedError(400, "bad_field", "top_logprobs goes with logprobs: true")


def read_chat(body: bytes) -> ChatRequest:
    """Read a chat request.

    Raises: RefusedError for what is none, and for fields that ask for what is not done here.

    >>> read_chat(b'{"messages": [{"role": "user", "content": "x"}]}').messages[0].content
    'x'
    """
    try:
        chat = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(400, "malformed_body", describe_invalid(error)) from error
    chat.check_fields()
    return chat


def request_schema() -> dict[str, Any]:
    """Give the schema of a request in one piece: a part of an OpenAPI document has no `$defs`.

    >>> sorted(request_schema()["properties"]["messages"]["items"]["properties"])
    ['content', 'role']
    """
    schema = ChatRequest.model_json_schema()
    definitions = schema.pop("$defs")

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inline(definitions[value["$ref"].rpartition("/")[2]])
        return {name: inline(item) for name, item in value.items()}

    inlined: dict[str, Any] = inline(schema)
    return inlined
