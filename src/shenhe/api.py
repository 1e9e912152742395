"""What `import shenhe` gives: one loaded model and the jobs it does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from shenhe.config import load_formats, load_missions, load_prompts, load_teaching
from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.choice import choose_engine
from shenhe.engines.create import create_engine
from shenhe.engines.options import (
    ClusterOptions,
    Dtype,
    EngineName,
    LocalOptions,
    ServerOptions,
    VllmOptions,
    WorkerName,
)
from shenhe.errors import ItemError, OptionError, UsageError
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.locations import Remote, locate
from shenhe.messages import Answer, FinishReason, ImagePart, Message, Request
from shenhe.rows.verdict_inputs import describe_missing_lines
from shenhe.runs.deciding import codes_of_doubts, describe_doubts, policy_of_mission
from shenhe.runs.drive import drive
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.verdict_rows import make_statement
from shenhe.runs.work import Job, Outcome, Rejection, Success
from shenhe.stages import caption, summary, verdict
from shenhe.values import STAGE_A_INCOMPLETE, Caption, Ruling, photo_key

Value = TypeVar("Value")
PhotoPath = str | Path | Remote


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in a conversation. Units: tokens.

    Example:
        reply = model.chat([{"role": "user", "content": "你好"}])
        print(reply.text, reply.finish_reason)

    """

    text: str
    finish_reason: FinishReason
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Stage-A: the line of each photo, {"图片_1": line, ...}.

    Example:
        lines = model.summarize(["1.jpg"], mission="挡风板安装检查").per_image
        lines["图片_1"]

    """

    per_image: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Stage-B: `verdict` is None exactly where `status` is undecided; `raw` is the model's text.

    `why` are the codes for which a group is undecided, the decisive one first.

    Example:
        verdict = model.judge(lines, mission="挡风板安装检查")
        if verdict.status == "undecided":
            print(verdict.reason)

    """

    verdict: Ruling | None
    reason: str
    p_pass: float | None
    status: Literal["decided", "undecided"]
    raw: str
    why: tuple[str, ...] = ()


class Model:
    """A loaded checkpoint, with the missions and prompts of its jobs.

    Example:
        model = shenhe.load("base", adapters=["lora"])
        model.caption(["1.jpg"]).photos[0]

    """

    def __init__(
        self,
        engine: Engine,
        missions: Path | None = None,
        prompts: Path | None = None,
        examples: Path | None = None,
        guidance: Path | None = None,
        formats: str | Path | TextFormats = PLAIN,
    ) -> None:
        """Use an engine with the built-in missions and prompts, or those of files."""
        self.engine, self.formats = engine, load_formats(formats)
        self.missions = load_missions(missions)
        self.prompts = load_prompts(prompts, self.formats)
        self.teaching = load_teaching(examples, guidance, self.missions, self.formats)

    def chat(self, messages: Sequence[Mapping[str, object]], max_new_tokens: int = 2048) -> Reply:
        """Answer a conversation; messages as in transformers: role, and text or content parts.

        Raises: UsageError for a message of another form; ItemError for a photo that cannot be read.

        Example:
            model.chat([{"role": "user", "content": "你好"}], max_new_tokens=64).text

        """
        request = Request("chat", tuple(map(_message, messages)), max_new_tokens)
        answer = self._ask([request], lambda answer: answer, 1)[0].answer
        return Reply(answer.text, answer.finish_reason, answer.new_tokens)

    def stream(
        self, messages: Sequence[Mapping[str, object]], max_new_tokens: int = 2048
    ) -> Iterator[str]:
        """Answer a conversation piece by piece; see `chat`.

        Raises: as `chat` does.
        """
        return self.engine.stream(Request("chat", tuple(map(_message, messages)), max_new_tokens))

    def caption(self, photos: Sequence[PhotoPath], max_new_tokens: int = 2048) -> Caption:
        """Write the dense caption of photos seen together; a warning lists its repairs.

        Raises: ItemError for a photo or an answer that cannot be read; OptionError for photos that
        are no list.

        Example:
            model.caption(["a.jpg", "b.jpg"]).photos[0]

        """
        paths = [locate(str(photo)) for photo in _several("photos", photos)]
        template, form = self.prompts.caption, self.formats.caption
        request = caption.request("caption", paths, template, max_new_tokens, form=form)
        parsed = self._ask([request], partial(caption.read, form=form))[0].value
        if parsed.repairs:
            repairs = ", ".join(map(str, parsed.repairs))
            warnings.warn(f"the caption was repaired: {repairs}", stacklevel=2)
        return parsed.caption

    def summarize(
        self, photos: Sequence[PhotoPath], mission: str, max_new_tokens: int = 512
    ) -> Summary:
        """Write one line for each photo (Stage-A).

        Raises: UsageError for an unknown mission, or photos that are no list; ItemError for a photo
        or a line that cannot be read.
        """
        entry = self.missions.get(mission)
        template, form = self.teaching.apply(self.prompts, entry).summary, self.formats.summary
        paths = [locate(str(photo)) for photo in _several("photos", photos)]
        requests = [
            summary.request(photo_key(index), path, entry, template, max_new_tokens, form)
            for index, path in enumerate(paths)
        ]
        lines = self._ask(requests, partial(summary.read, form=form))
        return Summary({photo_key(index): line.value for index, line in enumerate(lines)})

    def judge(
        self,
        lines: Mapping[str, str],
        mission: str,
        max_new_tokens: int = 128,
        *,
        evidence: bool = True,
    ) -> Verdict:
        """Judge a group from its lines alone (Stage-B).

        Undecided are a group whose answer cannot be read, one without lines or with a gap between
        them (图片_1, 图片_3), and a 通过 that its own reason, or with `evidence` the lines by the
        mission's rules, speak against.
        Raises: UsageError for an unknown mission; FormatError for a line that is no summary.

        Example:
            model.judge({"图片_1": "螺丝/符合要求"}, mission="挡风板安装检查").status

        """
        entry = self.missions.get(mission)
        if not lines or list(lines) != [photo_key(index) for index in range(len(lines))]:
            reason = f"{STAGE_A_INCOMPLETE}: {describe_missing_lines(len(lines), lines)}"
            return Verdict(None, reason, None, "undecided", "", (STAGE_A_INCOMPLETE,))
        template = self.teaching.apply(self.prompts, entry).verdict
        formats, form = self.formats, self.formats.verdict
        request = verdict.request("verdict", lines, entry, template, max_new_tokens, formats)
        outcome = self._outcomes([request], partial(verdict.read, form=form))[0]
        if isinstance(outcome, Rejection):
            raw, reason = outcome.raw or "", f"{outcome.code}: {outcome.message}"
            return Verdict(None, reason, None, "undecided", raw, (outcome.code,))
        policy = policy_of_mission(VerdictPolicy(evidence=evidence), entry.name, entry.evidence)
        statement = make_statement(outcome.value, outcome.answer, form)
        raw, probability = outcome.answer.text, statement.p_pass
        items = policy.find_evidence(lines).items
        if doubts := policy.doubts(statement, items, form.fail_word):
            codes = tuple(codes_of_doubts(doubts))
            reason = f"{codes[0]}: {describe_doubts(doubts)}"
            return Verdict(None, reason, probability, "undecided", raw, codes)
        return Verdict(statement.ruling, statement.reason, probability, "decided", raw)

    def _outcomes(
        self, requests: list[Request], read: Callable[[Answer], Value], attempts: int = 3
    ) -> tuple[Outcome[Value], ...]:
        if not requests:
            raise UsageError("no photos were given")
        (finished,) = drive(self.engine, [Job(None, tuple(requests))], read, attempts)
        return finished.outcomes

    def _ask(
        self, requests: list[Request], read: Callable[[Answer], Value], attempts: int = 3
    ) -> list[Success[Value]]:
        successes = []
        for outcome in self._outcomes(requests, read, attempts):
            if isinstance(outcome, Rejection):
                raise ItemError(outcome.code, outcome.message)
            successes.append(outcome)
        return successes


def load(
    model: str,
    adapters: Sequence[str] = (),
    *,
    missions: str | Path | None = None,
    prompts: str | Path | None = None,
    examples: str | Path | None = None,
    guidance: str | Path | None = None,
    formats: str | Path | TextFormats = "plain",
    batch_size: int | Literal["auto"] | None = None,
    constrain: bool = True,
    temperature: float = 0.0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    max_pixels: int | None = None,
    engine: EngineName = "local",
    dtype: Dtype = "auto",
    attn_impl: str = "sdpa",
    quantize: Literal["int8"] | None = None,
    device: str = "auto",
    devices: Sequence[str] = (),
    speculate: bool = False,
    reuse_memory: int | None = None,
    base_url: str | None = None,
    request_timeout: float = 600.0,
    server_patience: float = 1800.0,
    photo_packing: Literal["png", "bmp"] | None = None,
    local_media: bool = False,
    tower_lora: bool = False,
    processor: str | None = None,
    vllm_options: Sequence[str] = (),
    ray_address: str | None = None,
    ray_engine: WorkerName = "local",
    ray_workers: int | None = None,
) -> Model:
    """Load a checkpoint, "demo" for the bundled one.

    The options are those of the command line, in `shenhe.engines.options`. `formats` are those of
    the texts that it was trained on: plain, keyed, domain, or a TOML file.
    Raises: OptionError for a value that the engine cannot honour, or an option of another engine;
    ConfigError for formats that cannot be had; CheckpointError or AdapterError.

    Example:
        model = shenhe.load("base", ["lora"], dtype="bfloat16", attn_impl="flash_attention_2")
        model.summarize(["a.jpg"], mission="挡风板安装检查").per_image

    """
    options = choose_engine(
        engine,
        ray_engine,
        LocalOptions(
            dtype=dtype,
            attn_impl=attn_impl,
            quantize=quantize,
            device=device,
            speculate=speculate,
            reuse_memory=reuse_memory,
        ),
        ServerOptions(
            base_url=base_url,
            request_timeout=request_timeout,
            server_patience=server_patience,
            photo_packing=photo_packing,
            local_media=local_media,
            tower_lora=tower_lora,
            processor=processor,
        ),
        VllmOptions(dtype=dtype, vllm_options=tuple(_several("vllm_options", vllm_options))),
        ClusterOptions(ray_address=ray_address, ray_workers=ray_workers),
        tuple(map(str, _several("devices", devices))),
    )
    spec = EngineSpec(
        model=str(model),
        adapters=tuple(map(str, _several("adapters", adapters))),
        batch_size=batch_size,
        constrain=constrain,
        temperature=temperature,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        max_pixels=max_pixels,
        engine=options,
    )
    trained_on = load_formats(formats)  # before the checkpoint, which takes its time
    files = _path(missions), _path(prompts), _path(examples), _path(guidance)
    return Model(create_engine(spec), *files, trained_on)


def _path(file: str | Path | None) -> Path | None:
    return None if file is None else Path(file)


def _several(name: str, values: Sequence[Value]) -> Sequence[Value]:
    """Refuse one text where several are expected: as a sequence it is its letters.

    Raises: OptionError.
    """
    if isinstance(values, str | Path | Remote):
        raise OptionError(name, str(values), f"give a list, as [{str(values)!r}]")
    return values


def _message(message: Mapping[str, object]) -> Message:
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise UsageError(f"a message's role must be system, user or assistant, got {role!r}")
    if isinstance(content, str):
        return Message(role, (content,))
    if not isinstance(content, Sequence):
        raise UsageError("a message's content must be text or a list of parts")
    return Message(role, tuple(_part(part) for part in content))


def _part(part: object) -> str | ImagePart:
    if isinstance(part, Mapping):
        if isinstance(text := part.get("text"), str):
            return text
        for name in ("image", "path", "url"):
            if isinstance(path := part.get(name), str | Path | Remote):
                return ImagePart(locate(str(path)))
    raise UsageError(f"a content part must be text or an image's path, got {part!r:.80}")
