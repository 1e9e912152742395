"""All commands, in the order of the help: what each is for, and an example of it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, NamedTuple, get_type_hints


class Command(NamedTuple):
    """A command: its summary, an example, and the file of this folder that holds its function.

    The function has the name of the command; the class of its only parameter declares the options.
    A command without a file has commands of its own below it.
    """

    summary: str
    example: str = ""
    file: str = ""
    is_swift: bool = False

    @property
    def description(self) -> str:
        """The summary as a sentence."""
        return f"{self.summary[0].upper()}{self.summary[1:]}."


class Loaded(NamedTuple):
    """What a command runs, and the class of its options."""

    run: Callable[[object], int]
    options: type[object]


COMMANDS: Final = {
    "chat": Command(
        "talk to a checkpoint, about photos too",
        "shenhe chat --model demo --prompt 图片里有什么 --image photo.jpg",
        "chat",
    ),
    "infer": Command(
        "answer the rows of a dataset, or chat, by the name and with the options of ms-swift",
        "shenhe infer --model base --adapters lora --val_dataset val.jsonl"
        " --result_path answers.jsonl --max_new_tokens 2048",
        "infer",
        is_swift=True,
    ),
    "caption": Command(
        "write dense captions: boxes, polygons, lines and descs",
        "shenhe caption photos --model base --adapters lora --output out/captions.jsonl"
        " --draw out/overlays",
        "caption",
    ),
    "summarize": Command(
        "Stage-A: one line of Chinese for every photo",
        "shenhe summarize --model demo --data-root photos --mission 挡风板安装检查"
        " --output-dir out/stage_a",
        "summarize",
    ),
    "judge": Command(
        "Stage-B: a verdict for every group, from its lines alone",
        "shenhe judge --model demo --stage-a out/stage_a --output-dir out/stage_b",
        "judge",
    ),
    "run": Command(
        "Stage-A, Stage-B and the report, in one go",
        "shenhe run --model base --adapters lora --data-root photos --output-dir out",
        "run",
    ),
    "decide": Command(
        "decide finished verdicts anew, without a model: thresholds, evidence, a promise",
        "shenhe decide out --output-dir anew --pass-above 0.9",
        "decide",
    ),
    "status": Command(
        "how far a run is, while it is under way or later", "shenhe status out", "status"
    ),
    "fsck": Command(
        "is what a run wrote whole; mend what can be made anew", "shenhe fsck out --dry-run", "fsck"
    ),
    "report": Command(
        "write a run's report: a page, or a sheet to sign (验收单) as XLSX, DOCX or PDF",
        "shenhe report out --format pdf --mission 挡风板安装检查",
        "report",
    ),
    "review": Command(
        "look at a run's groups in a browser, and overrule them",
        "shenhe review out --port 8765",
        "review",
    ),
    "serve": Command(
        "a service: photos in over HTTP, verdicts out",
        "shenhe serve --model base --adapters lora --data service --port 8770",
        "serve",
    ),
    "team": Command(
        "the people of a review: accounts, roles, passwords",
        "shenhe team out --add 李工 --role lead",
        "team",
    ),
    "promise": Command(
        "a threshold for each mission that keeps false passes below a share",
        "shenhe promise out --max-false-pass 0.05 --output promise.json",
        "promise",
    ),
    "merge": Command(
        "merge adapters into one checkpoint",
        "shenhe merge --model base --adapters lora --output-dir merged",
        "merge",
    ),
    "export": Command(
        "merge, by the name and with the options of ms-swift",
        "shenhe export --model base --adapters lora --merge_lora true --output_dir merged",
        "merge",
        is_swift=True,
    ),
    "verify": Command(
        "is a checkpoint whole, and the model it came from",
        "shenhe verify merged --against base --adapters lora",
        "verify",
    ),
    "photos": Command(
        "a list of all photos to send back: reused, old, dark, blurred, not looked at",
        "shenhe photos site-photos --output photos.xlsx",
        "photos",
    ),
    "doctor": Command(
        "why something is slow, malformed or missing",
        "shenhe doctor --model base --adapters lora --data-root photos --run out",
        "doctor",
    ),
    "convert": Command(
        "captions in the formats of labelling tools and trainers, and corrected labels back",
        "shenhe convert out/captions.jsonl --format labelme --output out/labelme",
        "convert",
    ),
    "requests": Command(
        "the requests of a stage as files for a batch service: OpenAI's form, vLLM run-batch",
        "shenhe requests photos --stage summarize --mission 挡风板安装检查 --model qwen3-vl"
        " --output batch/requests.jsonl",
        "requests",
    ),
    "answers": Command(
        "the rows of a stage from what a batch service answered",
        "shenhe answers batch/answers.jsonl --requests batch/requests.jsonl"
        " --output-dir out/stage_a",
        "answers",
    ),
    "evaluate": Command(
        "measure against truth",
        "shenhe evaluate captions --predictions out/captions.jsonl --truth truth.jsonl",
    ),
    "evaluate captions": Command(
        "dense captions: where things are, what is said of them, both at once",
        "shenhe evaluate captions --predictions out/captions.jsonl --truth truth.jsonl",
        "evaluate",
    ),
    "evaluate verdicts": Command(
        "verdicts against labels: what slips through, what is stopped in vain, how sure",
        "shenhe evaluate verdicts out --max-false-pass 0.02 --against out-before",
        "evaluate",
    ),
    "evaluate evidence": Command(
        "what the lines show of failed groups: what a rule can stop, and what no judge of them can",
        "shenhe evaluate evidence out --html evidence.html",
        "evaluate",
    ),
    "watch": Command(
        "does a promise hold in production: audits, the bound at any time, the alarm",
        "shenhe watch week-47 week-48 --promise promise.json --html watch.html",
        "watch",
    ),
    "check": Command(
        "validate texts that any tool wrote",
        'echo \'{"raw": "通过\\n理由: 图片_1中螺丝符合要求"}\' | shenhe check verdict -',
        "check",
    ),
    "demo": Command(
        "the main job on the bundled checkpoint and photos",
        "shenhe demo --output-dir shenhe-demo",
        "demo",
    ),
}
"""Commands that are `is_swift` ignore options of ms-swift that mean nothing here."""


def load_command(name: str) -> Loaded:
    """Import the file of a command, which imports nothing heavy before the command runs."""
    module = import_module(f"shenhe.cli.{COMMANDS[name].file}")
    function = getattr(module, name.rpartition(" ")[2])
    return Loaded(function, get_type_hints(function)["options"])
