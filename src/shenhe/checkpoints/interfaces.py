"""Interfaces of transformers' objects as this package uses them: transformers has no types.

Attributes and methods carry transformers' own names. A value of transformers or PEFT is assigned to
one of these types where it is created, in `checkpoints.load` and `engines`; from there on every use
is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, overload

if TYPE_CHECKING:
    import torch
    from torch import nn

ChatMessage = Mapping[str, object]
"""A message as chat templates take it: `role`, and `content` as a list of parts."""


class TextConfig(Protocol):
    """Configuration of the language model."""

    num_hidden_layers: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    _attn_implementation: str


class ModelConfig(Protocol):
    """Configuration of the whole model: `config.json`."""

    text_config: TextConfig
    image_token_id: int
    tie_word_embeddings: bool


class GenerationConfig(Protocol):
    """Defaults of generation: `generation_config.json`."""

    eos_token_id: int | list[int] | None


class TextOutput(Protocol):
    """Output of the language model. Shape: (1, tokens, hidden)."""

    last_hidden_state: torch.Tensor


class ImageFeatures(Protocol):
    """Output of the vision tower.

    Shape: `pooler_output` (image tokens, hidden) per image; `deepstack_features` the same for each
    layer that takes them.
    """

    pooler_output: Sequence[torch.Tensor]
    deepstack_features: Sequence[Sequence[torch.Tensor]]


class LanguageModel(Protocol):
    """The text layers, between embedding and LM head."""

    config: TextConfig

    def modules(self) -> Iterator[nn.Module]:
        """Yield the module itself and all below it."""

    def __call__(
        self,
        *,
        inputs_embeds: torch.Tensor,
        position_ids: torch.Tensor,
        use_cache: bool,
        packing: object,
        visual_pos_masks: torch.Tensor | None = None,
        deepstack_visual_embeds: list[torch.Tensor] | None = None,
    ) -> TextOutput:
        """Run the layers. Shape: inputs_embeds (1, tokens, hidden), position_ids (3, 1, tokens)."""


class BackboneModel(Protocol):
    """Vision tower and language model, without the LM head."""

    language_model: LanguageModel
    visual: nn.Module

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        image_grid_thw: torch.Tensor,
        *,
        return_dict: bool,
        **for_attention: Sequence[int],
    ) -> ImageFeatures:
        """Run the vision tower; further arguments reach the attention of its blocks.

        Shape: pixel_values (patches, channels x frames x size x size), image_grid_thw (images, 3).
        """

    def get_rope_index(
        self,
        input_ids: torch.Tensor,
        mm_token_type_ids: torch.Tensor,
        image_grid_thw: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute position ids, and the offset of positions behind the prompt.

        Shape: (1, tokens) twice and (images, 3) in; (3, 1, tokens) and (1, 1) out.
        """


class ModelOutput(Protocol):
    """Output of the whole model. Shape: (batch, tokens, vocabulary)."""

    logits: torch.Tensor


class VisionLanguageModel(Protocol):
    """A Qwen3VLForConditionalGeneration, or one that PEFT has wrapped."""

    model: BackboneModel
    lm_head: nn.Linear
    config: ModelConfig
    generation_config: GenerationConfig
    device: torch.device
    dtype: torch.dtype

    def __call__(self, *, input_ids: torch.Tensor) -> ModelOutput:
        """Run the model on text. Shape: (batch, tokens)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the weights."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the weights by name."""

    def buffers(self) -> Iterator[torch.Tensor]:
        """Yield the tensors that are no weights."""

    def modules(self) -> Iterator[nn.Module]:
        """Yield the module itself and all below it."""

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the module itself and all below it, by name."""

    def get_submodule(self, target: str) -> nn.Module:
        """Look up a module by its dotted name."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Collect the weights by name."""

    def get_input_embeddings(self) -> nn.Embedding:
        """Look up the embedding."""

    def get_output_embeddings(self) -> nn.Linear | None:
        """Look up the LM head."""

    def save_pretrained(self, save_directory: object, *, max_shard_size: int) -> None:
        """Write weights and configuration. Units: bytes."""

    def to(self, device: torch.device) -> VisionLanguageModel:
        """Move to a device, in place."""

    def eval(self) -> VisionLanguageModel:
        """Switch off what only training needs."""


class BaseTuner(Protocol):
    """The tuner of a kind of adapter, as LoraModel."""

    def set_adapter(self, adapter_name: list[str]) -> None:
        """Switch adapters on, those and no others."""


class AdaptedModel(VisionLanguageModel, Protocol):
    """A PeftModel: a model with adapters."""

    base_model: BaseTuner

    def get_base_model(self) -> VisionLanguageModel:
        """Look up the model that the adapters were put into."""

    def merge_and_unload(self) -> VisionLanguageModel:
        """Merge the adapters into the weights, and take them out."""


class BackendTokenizer(Protocol):
    """A Tokenizer of the library tokenizers."""

    def no_padding(self) -> None:
        """Switch padding off."""

    def no_truncation(self) -> None:
        """Switch truncation off."""

    def to_str(self) -> str:
        """Write it as JSON."""


class PlainTokenizer(Protocol):
    """What engines need of a tokenizer: a PreTrainedTokenizer has it, and one without torch."""

    chat_template: str | None
    eos_token_id: int | None

    @property
    def backend_tokenizer(self) -> BackendTokenizer:
        """The tokenizer itself."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> Mapping[str, list[int]]:
        """Split a text: `input_ids`."""

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]: ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Turn token ids into text."""

    def apply_chat_template(
        self,
        conversation: Sequence[ChatMessage],
        *,
        tokenize: Literal[False],
        add_generation_prompt: bool = False,
    ) -> str:
        """Render messages as a prompt.

        Raises: jinja2.TemplateError.
        """


class Tokenizer(PlainTokenizer, Protocol):
    """A PreTrainedTokenizer."""

    eos_token: str | None

    @overload
    def __call__(self, text: str, *, add_special_tokens: bool) -> Mapping[str, list[int]]: ...
    @overload
    def __call__(
        self, text: str, *, add_special_tokens: bool, return_tensors: Literal["pt"]
    ) -> Mapping[str, torch.Tensor]: ...

    def decode(
        self, token_ids: Sequence[int] | torch.Tensor, *, skip_special_tokens: bool = False
    ) -> str:
        """Turn token ids into text."""


class ImageProcessor(Protocol):
    """A Qwen2VLImageProcessor."""

    patch_size: int
    merge_size: int
    temporal_patch_size: int
    size: Mapping[str, int]

    def __call__(
        self, images: Sequence[object], *, do_resize: bool, return_tensors: Literal["pt"]
    ) -> Mapping[str, torch.Tensor]:
        """Cut images into patches, `pixel_values`."""


class Processor(Protocol):
    """A checkpoint's processor: tokenizer and image processor."""

    tokenizer: Tokenizer
    image_processor: ImageProcessor

    def __call__(
        self,
        *,
        text: Sequence[str],
        images: Sequence[object],
        do_resize: bool,
        return_tensors: Literal["pt"],
    ) -> Mapping[str, torch.Tensor]:
        """Tokenize prompts and cut their images: everything that a model takes."""
