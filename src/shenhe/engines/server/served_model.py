"""The model that a server has: its entry in the list, its folder on this disk, its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from shenhe.checkpoints.headers import tensor_names
from shenhe.checkpoints.inspect import find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.processor import PREPROCESSOR, read_budget, read_processor
from shenhe.engines.base import EngineSpec
from shenhe.engines.budget import PhotoBudget
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.completions import Body
from shenhe.engines.server.dialect import LLAMA_CPP, OF_SHENHE
from shenhe.engines.server.faults import to_one_line
from shenhe.engines.server.transport import is_loopback
from shenhe.errors import CheckpointError, OptionError, UsageError, spelled
from shenhe.photos import PixelBudget
from shenhe.photos.sizing import FACTOR
from shenhe.secrecy import Secrets

TOLD_AT = {LLAMA_CPP: "/props", "sglang": "/get_model_info"}
"""Where these say which file or folder they have loaded, as `model_path`."""
PROMPT_TOKENS = 512
"""Room for the text of a prompt and a line beside a photo."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The entry of the model that answers, and of its base if it is an adapter.

    `told` is what the server says of itself elsewhere; empty where it says nothing. `others` are
    the names of its other models: none of them may answer in its place.
    """

    entry: Body
    base: Body | None
    told: Mapping[str, object]
    others: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name that requests carry."""
        return str(self.entry["id"])

    @property
    def owner(self) -> str:
        """The software that the list names, as `vllm`; empty if it names none."""
        return str(self.entry.get("owned_by") or "")

    def fingerprint(self, spec: EngineSpec[ServerOptions]) -> str:
        """Fingerprint the checkpoint if it lies here, else take its name.

        Raises: CheckpointError, AdapterError.
        """
        if self.owner == OF_SHENHE and isinstance(self.entry.get("fingerprint"), str):
            return str(self.entry["fingerprint"])
        folders = self._folders()
        if folders is None:
            return f"server:{spec.adapters[0] if spec.adapters else spec.model}"
        return fingerprint(find_checkpoint(folders[0]), *map(find_adapter, folders[1:]))

    def budget(self, spec: EngineSpec[ServerOptions], address: str) -> PhotoBudget:
        """Find the pixel budget: of the option, else of the folder that the server names.

        Raises: CheckpointError.
        """
        if spec.engine.processor is not None:
            name = spec.engine.processor
            budget = PhotoBudget(read_processor(name), spelled("processor", name))
        elif folder := self._folders():
            checkpoint = find_checkpoint(folder[0])
            budget = PhotoBudget(read_budget(checkpoint), f"{folder[0]}, as the server says")
        else:
            budget = self._told_budget(address)
        return self._with_room(budget.lowered(spec.max_pixels))

    def _told_budget(self, address: str) -> PhotoBudget:
        """Read the budget beside what a server on this machine has loaded, if that lies here."""
        if self.owner == OF_SHENHE:
            return _budget_of_entry(self.entry)
        path = self.told.get("model_path")
        if not isinstance(path, str) or not path.isprintable() or not Path(path).is_absolute():
            return PhotoBudget()
        if not is_loopback(urlsplit(address).hostname or ""):
            return PhotoBudget()
        folder = Path(path).parent if self.owner == LLAMA_CPP else Path(path)
        try:
            if (folder / PREPROCESSOR).is_file():
                return PhotoBudget(read_processor(str(folder)), f"{folder}, as the server says")
        except (CheckpointError, OSError):
            pass
        return PhotoBudget()

    def _with_room(self, budget: PhotoBudget) -> PhotoBudget:
        """Note what a server of llama.cpp cannot take."""
        if self.owner != LLAMA_CPP:
            return budget
        meta, modalities = self.entry.get("meta"), self.told.get("modalities")
        if isinstance(modalities, dict) and modalities.get("vision") is False:
            refusal = (
                "llama.cpp takes no photos: start it with --mmproj FILE.gguf, the checkpoint's"
                " vision tower"
            )
            return replace(budget, refusal=refusal)
        room = meta.get("n_ctx") if isinstance(meta, dict) else None
        photo = budget.bounds.max_pixels // FACTOR**2
        if not isinstance(room, int) or not 0 < room < photo + PROMPT_TOKENS:
            return budget
        return replace(
            budget,
            room=f"llama.cpp has room for {room} tokens a request, and a photo may take {photo},"
            f" its prompt and answer {PROMPT_TOKENS} more: start it with a larger --ctx-size"
            f" (--parallel divides it), or lower {spelled('max_pixels')}",
        )

    def _folders(self) -> list[str] | None:
        """Find the checkpoint that the server has loaded on this disk, base first."""
        checkpoint = _local_folder(self.base or self.entry, find_checkpoint)
        if checkpoint is None or self.base is None:
            return None if checkpoint is None else [checkpoint]
        adapter = _local_folder(self.entry, find_adapter)
        return None if adapter is None else [checkpoint, adapter]


def _budget_of_entry(entry: Body) -> PhotoBudget:
    """Read the budget that `shenhe serve` tells in its list of models."""
    least, largest = entry.get("min_pixels"), entry.get("max_pixels")
    if not isinstance(least, int) or not isinstance(largest, int) or not 0 < least <= largest:
        return PhotoBudget()
    return PhotoBudget(PixelBudget(least, largest), "as the service says")


def find_entries(
    spec: EngineSpec[ServerOptions], models: list[Body], secrets: Secrets
) -> tuple[Body, Body | None]:
    """Find the model that answers in a server's list, and its base if it is an adapter.

    Raises: UsageError if there is no such model; OptionError for an adapter that would be passed
    over.
    """
    listed = {str(entry["id"]): entry for entry in models}
    names = (spec.model, *spec.adapters)
    # If the list cannot be read, the model may still be there by its name.
    entries: dict[str, Body] = listed or {name: {"id": name} for name in names}
    for name in names:
        if name not in entries:
            available = to_one_line(", ".join(sorted(entries)), secrets)
            raise UsageError(f"{name}: the server has no such model; it has {available}")
    base = entries[spec.model]
    if not spec.adapters:
        return base, None
    adapter = entries[spec.adapters[0]]
    if not spec.engine.tower_lora and _is_ignored_by_vllm(adapter, base):
        problem = (
            "it changes the vision tower, which vLLM passes over unless it is started with"
            " --enable-tower-connector-lora: merge it (shenhe merge), or say"
            f" {spelled('tower_lora', True)} if it was started so"
        )
        raise OptionError("adapters", spec.adapters[0], problem)
    return adapter, base


def other_names(entry: Body, base: Body | None, models: list[Body]) -> frozenset[str]:
    """List the names of a server's other models; several names of one model have the same root.

    Servers of earlier times name the base where an adapter of it has answered.
    """
    own = [model for model in (entry, base) if model is not None]
    roots = [model["root"] for model in own if model.get("root")]
    names = {str(m["id"]) for m in models if not m.get("root") or m["root"] not in roots}
    return frozenset(names - {str(model["id"]) for model in own})


def _local_folder(model: Body, find: Callable[[str], object]) -> str | None:
    """Find the folder that a server names, if it is valid here."""
    for name in (model.get("root"), model["id"]):
        if not isinstance(name, str) or not name or not name.isprintable():
            continue
        try:
            if Path(name).is_dir():
                find(name)
                return name
        except (CheckpointError, OSError):
            continue
    return None


def _is_ignored_by_vllm(adapter: Body, base: Body) -> bool:
    """Whether an adapter changes the vision tower, which vLLM adapts only if started to do so."""
    folder = _local_folder(adapter, find_adapter)
    if base.get("owned_by") != "vllm" or folder is None:
        return False
    return any(".visual." in name for name in tensor_names(find_adapter(folder).weights))
