"""The options of models and engines, each declared once: for Python, the command line and its
reference. Imports nothing heavy."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, TypeVar

from shenhe.engines.device_names import read_device_names
from shenhe.errors import OptionError, UsageError, spelled
from shenhe.options import Count, Name, Whole, option, option_class
from shenhe.secrecy import redact_url

Dtype = Literal["auto", "bfloat16", "float16", "float32"]
EngineName = Literal["local", "openvino", "vllm", "server", "ray"]
WorkerName = Literal["local", "vllm", "server"]
BatchSize = Count | Literal["auto"]
BATCH_SIZE_HELP = "requests at once; auto: as many as memory allows, or as a server takes"
FLASH_ATTENTION = ("flash_attn", "flash_attention_2")
"""A name of ms-swift, and what transformers calls the same."""
MIN_PIXELS = 32 * 32
"""The area of one token of an image."""


@option_class
class ModelOptions:
    """What is answered by, and how, whichever engine runs it.

    `constrain` holds answers to their formats. `batch_size` decides only how fast: "auto" is as
    many as memory allows, or as a server takes; None is what the caller deems usual, else "auto".
    """

    model: Name = option("a checkpoint folder; demo: the bundled one", metavar="PATH")
    adapters: tuple[Name, ...] = option(
        "LoRA adapters, applied in order; demo: the bundled one", default=(), metavar="A"
    )
    batch_size: BatchSize | None = option(
        f"{BATCH_SIZE_HELP} (default: auto)",
        default=None,
        metavar="N|auto",
    )
    constrain: bool = option(
        "hold answers to their format: nothing malformed can be written", default=True
    )
    temperature: float = option("0 is greedy", default=0.0, metavar="T")
    top_p: float = option("nucleus of sampling", default=1.0, metavar="P")
    repetition_penalty: float = option(
        "above 1, tokens of the prompt and of the answer so far become less likely, as in"
        " transformers",
        default=1.0,
        metavar="P",
    )
    seed: Annotated[int, Whole(-(2**63), 2**63 - 1)] = option(
        "seed of sampling", default=0, metavar="N"
    )
    max_pixels: Count | None = option(
        "pixel budget of a photo; default: the checkpoint's", default=None, metavar="N"
    )

    @property
    def max_batch_size(self) -> int | None:
        """The largest number of requests at once; None where the engine chooses it."""
        return None if self.batch_size in (None, "auto") else int(self.batch_size)

    def check_model(self) -> None:
        """Refuse values that no engine can honour.

        Raises: OptionError.
        """
        if not 0 <= self.temperature < math.inf:
            raise OptionError("temperature", self.temperature, "must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise OptionError("top_p", self.top_p, "must be above 0 and at most 1")
        if not 0 < self.repetition_penalty < math.inf:
            problem = "must be above 0; 1 is none, and above 1 repetition becomes less likely"
            raise OptionError("repetition_penalty", self.repetition_penalty, problem)
        if (size := self.max_batch_size) is not None and size < 1:
            raise OptionError("batch_size", size, "must be 1 or more")
        if self.max_pixels is not None and self.max_pixels < MIN_PIXELS:
            raise OptionError("max_pixels", self.max_pixels, "must be at least 1024 (32 x 32)")


def attention_name(value: str) -> str:
    """Read the name of an attention, which ms-swift spells in its own way.

    >>> attention_name("flash_attn"), attention_name("sdpa")
    ('flash_attention_2', 'sdpa')

    Raises: UsageError for a text that is no name.
    """
    if not value.strip() or not value.isprintable():
        raise UsageError("is no name of an attention")
    own, of_transformers = FLASH_ATTENTION
    return of_transformers if value == own else value


@option_class
class WeightsOptions:
    """How the weights of a checkpoint are loaded, by an engine that loads them."""

    dtype: Dtype = option("auto: as the checkpoint was saved", default="auto", also="--torch-dtype")


@option_class
class LocalOptions(WeightsOptions):
    """Options of the local engine: transformers in this process.

    `speculate` guesses phrases from earlier answers, which changes no answer, only its time.
    `usual_batch_size` is the largest batch when none is given.
    """

    usual_batch_size: ClassVar = 64
    attn_impl: Annotated[str, attention_name] = option(
        "attention of transformers; flash_attn: flash_attention_2", default="sdpa", metavar="NAME"
    )
    quantize: Literal["int8"] | None = option(
        "weights of linear layers in int8, by torchao; adapters are merged in memory first",
        default=None,
    )
    device: str = option("cpu, cuda, cuda:1, ...", default="auto", metavar="NAME")
    speculate: bool = option(
        "guess phrases from earlier answers, and let the model check them: same answers",
        default=False,
        after="constrain",
    )
    reuse_memory: Annotated[int, Whole(0)] | None = option(
        "memory for what was computed of photos and prompts, for requests that need it again; 0:"
        " nothing is kept (default: an eighth of the free memory)",
        default=None,
        metavar="MB",
        after="speculate",
    )

    def check(self) -> None:
        """Refuse values that the engine cannot honour.

        Raises: OptionError.
        """
        if self.quantize not in (None, "int8"):
            raise OptionError("quantize", self.quantize, "use int8")
        if self.reuse_memory is not None and self.reuse_memory < 0:
            raise OptionError("reuse_memory", self.reuse_memory, "must be 0 or more")


@option_class
class OpenvinoOptions(WeightsOptions):
    """Options of the OpenVINO engine: an exported checkpoint on this machine's CPU.

    `usual_batch_size` is the largest batch when none is given; `reuse_memory` is that of the local
    engine. Units: MB.
    """

    usual_batch_size: ClassVar = 16
    reuse_memory: int | None = None

    def check(self) -> None:
        """Leave it to the engine which dtypes this machine computes in."""


@option_class
class ServerOptions:
    """Options of the server engine, which asks an OpenAI-compatible server.

    `request_timeout` is for one request, `server_patience` for a server that is gone.
    Units: seconds. `photo_packing` is how photos travel, `local_media` whether the server opens
    them by their paths, `tower_lora` whether it is known to apply adapters to the vision tower.
    `processor` is a folder whose preprocessor_config.json says how large photos are.
    """

    base_url: str | None = option(
        "where it is, as http://host:8000/v1",
        default=None,
        metavar="URL",
        repr=False,  # it may hold a password
    )
    request_timeout: float = option(
        "an answer that takes longer is asked for again", default=600.0, metavar="SECONDS"
    )
    server_patience: float = option(
        "how long to wait for a server that is gone", default=1800.0, metavar="SECONDS"
    )
    photo_packing: Literal["png", "bmp"] | None = option(
        "how photos travel: png is smaller, bmp quicker to write (default: bmp on loopback,"
        " else png)",
        default=None,
    )
    local_media: bool = option(
        "the server shares this disk: name photos that need no turning and no resizing",
        default=False,
    )
    tower_lora: bool = option(
        "vLLM was started with --enable-tower-connector-lora: adapters of it", default=False
    )
    processor: Name | None = option(
        "the checkpoint's folder, or one with its preprocessor_config.json: the pixel budget of"
        " photos is read from it; demo: the bundled one (default: as the server tells)",
        default=None,
        metavar="DIR",
    )

    def check(self) -> None:
        """Refuse a server without an address, and values that the engine cannot honour.

        Raises: OptionError.
        """
        if not self.base_url:
            address = spelled("base_url", "http://HOST:PORT/v1")
            raise OptionError("engine", "server", f"say where, with {address}")
        self.check_values()

    def check_values(self) -> None:
        """Refuse values that no server can honour.

        Raises: OptionError.
        """
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            address = redact_url(self.base_url)
            raise OptionError("base_url", address, "must begin with http:// or https://")
        if self.photo_packing not in (None, "png", "bmp"):
            raise OptionError("photo_packing", self.photo_packing, "use png or bmp")
        for name, seconds in (
            ("request_timeout", self.request_timeout),
            ("server_patience", self.server_patience),
        ):
            if not 0 < seconds < math.inf:  # NaN is neither
                raise OptionError(name, seconds, "must be above 0 seconds")


@option_class
class VllmOptions(WeightsOptions):
    """Options of the vLLM engine; `vllm_options` are NAME=VALUE, for vLLM itself.

    `usual_batch_size` is the number of requests with vLLM when none is given; its scheduler runs
    those that fit in memory.
    """

    usual_batch_size: ClassVar = 256
    vllm_options: tuple[str, ...] = option(
        "an option of vLLM itself, as tensor_parallel_size=2",
        default=(),
        metavar="NAME=VALUE",
        flag="--vllm-option",
        gathering="each",
    )

    def check(self) -> None:
        """Leave the values of vLLM's options to vLLM."""


WorkerOptions = LocalOptions | ServerOptions | VllmOptions


@option_class
class ClusterOptions:
    """Where the workers of a Ray cluster are; without an address one is started here."""

    ray_address: str | None = option(
        "the cluster, as auto or host:6379; default: one is started on this machine",
        default=None,
        metavar="ADDRESS",
    )
    ray_workers: Count | None = option(
        "default: one a GPU, or one a node", default=None, metavar="N"
    )


@option_class
class RayOptions(ClusterOptions):
    """Options of the Ray engine: an engine in each worker, described by the worker's options."""

    worker: WorkerOptions = LocalOptions()

    def check(self) -> None:
        """Refuse values that the engine of a worker cannot honour.

        Raises: OptionError.
        """
        self.worker.check()


@option_class
class DevicesOptions:
    """Options of the engine over several devices: those of the engine of each worker."""

    devices: tuple[str, ...]
    worker: LocalOptions | VllmOptions = LocalOptions()

    def check(self) -> None:
        """Refuse a list of devices that is none, and values that a worker cannot honour.

        Raises: OptionError.
        """
        read_device_names(self.devices)
        self.worker.check()


EngineOptions = (
    LocalOptions | OpenvinoOptions | ServerOptions | VllmOptions | RayOptions | DevicesOptions
)
OptionsType = TypeVar("OptionsType", bound=EngineOptions, covariant=True)
