"""The options of every command. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from shenhe import __version__
from shenhe.locations import locate
from shenhe.printable import printable

EXAMPLES = {
    "chat": "shenhe chat --model demo --prompt 图片里有什么 --image photo.jpg",
    "infer": "shenhe infer --model base --adapters lora --stream true --max_new_tokens 2048",
    "caption": "shenhe caption photos --model base --adapters lora --output out/captions.jsonl"
    " --draw out/overlays",
    "summarize": "shenhe summarize --model demo --data-root photos --mission 挡风板安装检查"
    " --output-dir out/stage_a",
    "judge": "shenhe judge --model demo --stage-a out/stage_a --output-dir out/stage_b",
    "run": "shenhe run --model base --adapters lora --data-root photos --output-dir out",
    "status": "shenhe status out",
    "report": "shenhe report out",
    "review": "shenhe review out --port 8765",
    "evaluate": "shenhe evaluate captions --predictions out/captions.jsonl --truth truth.jsonl",
    "convert": "shenhe convert out/captions.jsonl --format coco --output out/coco.json",
    "merge": "shenhe merge --model base --adapters lora --output-dir merged",
    "verify": "shenhe verify merged --against base --adapters lora",
    "doctor": "shenhe doctor --model base --adapters lora --data-root photos --run out",
    "export": "shenhe export --model base --adapters lora --merge_lora true --output_dir merged",
    "check": 'echo \'{"raw": "通过\\n理由: 图片_1中螺丝符合要求"}\' | shenhe check verdict -',
    "demo": "shenhe demo --output-dir shenhe-demo",
}
SWIFT_COMMANDS = ("infer", "export")
"""Commands by ms-swift's names: its options are welcome, also those that mean nothing here."""
DTYPES = ("auto", "bfloat16", "float16", "float32")
CHECKS = ("caption", "summary", "verdict")
EXPORTS = ("coco", "yolo-obb", "labelme", "x-anylabeling", "label-studio", "training")
COORDINATES = ("norm1000", "norm100", "pixel")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that says where the help is."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit 2."""
        self.exit(2, printable(f"{self.prog}: {message} (see {self.prog} --help)\n"))


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Tells defaults where there is one to tell, and leaves examples in one piece."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, [], argparse.SUPPRESS) or not action.option_strings:
            return action.help
        return f"{action.help} (default: %(default)s)"


def build_parser() -> Parser:
    """Build the parser of all commands."""
    parser = Parser(
        prog="shenhe",
        description="审核: reviews site-inspection photos with fine-tuned Qwen3-VL models.",
        epilog="Exit codes: 0 all done; 1 done, but some items failed or are undecided;"
        " 2 could not run; 130 interrupted: the same command goes on from there.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"shenhe {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _chat(_command(commands, "chat", "talk to a checkpoint, about photos too"))
    infer = _command(commands, "infer", "chat, by the name and with the options of ms-swift")
    _chat(infer, model_needed=False)
    _caption(_command(commands, "caption", "write dense captions: boxes, quads, lines and descs"))
    _summarize(_command(commands, "summarize", "Stage-A: one line of Chinese for every photo"))
    _judge(_command(commands, "judge", "Stage-B: a verdict for every group, from its lines alone"))
    _run(_command(commands, "run", "Stage-A, Stage-B and the report, in one go"))
    _status(_command(commands, "status", "how far a run is, while it is under way or later"))
    _report(_command(commands, "report", "write a run's report, one self-contained HTML page"))
    _review(_command(commands, "review", "look at a run's groups in a browser, and overrule them"))
    _merge(_command(commands, "merge", "merge adapters into one checkpoint"))
    _export(_command(commands, "export", "merge, by the name and with the options of ms-swift"))
    _verify(_command(commands, "verify", "is a checkpoint whole, and the model it came from"))
    _doctor(_command(commands, "doctor", "why something is slow, malformed or missing"))
    _convert(_command(commands, "convert", "captions in the formats of labelling tools"))
    _evaluate(_command(commands, "evaluate", "measure against truth"))
    _check(_command(commands, "check", "validate texts that any tool wrote"))
    _demo(_command(commands, "demo", "the main job on the bundled checkpoint and photos"))
    return parser


def normalized(argv: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """Accept ms-swift's spellings: --max_new_tokens, and a switch with true or false behind it."""
    switches = _switches(parser)
    result: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "--":
            return [*result, word, *rest]
        # Also the value of the word before may look like this: only switches take it away.
        if word.lower() in ("true", "false") and result and result[-1] in switches:
            if word.lower() == "false":
                result[-1] = f"--no-{result[-1][2:]}"
            continue
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            name = name.replace("_", "-")
            if name in switches and value.lower() in ("true", "false"):
                word = name if value.lower() == "true" else f"--no-{name[2:]}"
            else:
                word = name + equals + value
        result.append(word)
    return result


def _switches(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                found |= _switches(sub)
        elif isinstance(action, argparse.BooleanOptionalAction):
            found |= {name for name in action.option_strings if not name.startswith("--no-")}
    return found


def _command(
    commands: argparse._SubParsersAction[Any],
    name: str,
    summary: str,
    example: str = "",
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"Example:  {example or EXAMPLES[name]}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    _switch(command, "--debug", "show the traceback of an error")
    return command


def _switch(parser: argparse._ActionsContainer, name: str, text: str) -> None:
    parser.add_argument(name, action=argparse.BooleanOptionalAction, default=False, help=text)


def _chat(parser: argparse.ArgumentParser, model_needed: bool = True) -> None:
    _engine(parser, model_needed)
    parser.add_argument(
        "--system",
        metavar="FILE",
        help="a text file with the system prompt; default: what args.json says it was trained with",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="ask this alone, print the answer, leave")
    parser.add_argument(
        "--image",
        action="append",
        nargs="+",
        type=locate,
        default=[],
        metavar="PATH",
        help="photos for the first question",
    )
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print an answer as it is written",
    )
    _max_new_tokens(parser, 2048)


def _caption(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        type=locate,
        metavar="PHOTO|FOLDER|LIST.jsonl",
        help='photos, folders of them, or lists: one {"images": [...]} a line, seen together',
    )
    _engine(parser)
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE.jsonl", help="where rows go"
    )
    parser.add_argument(
        "--draw", type=Path, metavar="DIR", help="write each photo with its caption drawn there"
    )
    _coordinates(parser)
    parser.add_argument(
        "--vocabulary",
        nargs="?",
        type=_file_or_none,
        const="",
        metavar="FILE",
        help="hold descs to the built-in vocabulary, or to that of a file (TOML)",
    )
    _max_new_tokens(parser, 2048)
    _work(parser, "photos or lists of them")


def _summarize(parser: argparse.ArgumentParser) -> None:
    _engine(parser, batch_size="4")
    _photos(parser)
    parser.add_argument("--mission", required=True, metavar="NAME", help="the mission's name")
    _output(parser)
    _max_new_tokens(parser, 512)
    _teaching(parser)
    _work(parser)


def _judge(parser: argparse.ArgumentParser) -> None:
    _engine(parser)
    parser.add_argument(
        "--stage-a", required=True, type=Path, metavar="FILE|DIR", help="rows of `summarize`"
    )
    _output(parser)
    _max_new_tokens(parser, 128)
    _deciding(parser)
    _teaching(parser)
    _work(parser)


def _run(parser: argparse.ArgumentParser) -> None:
    _engine(parser)
    _photos(parser)
    parser.add_argument(
        "--mission",
        action="append",
        default=[],
        metavar="NAME",
        help="a mission; several times for several; without it all that the tree has",
    )
    _output(parser)
    _deciding(parser)
    _teaching(parser)
    _work(parser)


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a folder that rows go to")
    _switch(parser, "--json", "one JSON object for each output")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what `run` wrote")
    parser.add_argument(
        "--max-groups",
        type=_positive,
        default=500,
        metavar="N",
        help="show at most so many groups: undecided ones and disagreements first",
    )


def _review(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what `run` wrote")
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="0: any that is free")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="other than this machine's own: whoever opens the pages needs a token, which is"
        " printed, or taken from SHENHE_REVIEW_TOKEN",
    )
    parser.add_argument(
        "--reviewer", metavar="NAME", help="signs for who has not said a name; default: the user"
    )
    parser.add_argument(
        "--captions",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE.jsonl",
        help="rows of `caption` to draw; default: RUN_DIR/captions.jsonl, RUN_DIR/captions/*.jsonl",
    )
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="write decisions and training rows, then leave"
    )
    _prompts(parser)


def _merge(parser: argparse.ArgumentParser, all_needed: bool = True) -> None:
    _model(parser, "BASE", all_needed)
    parser.add_argument(
        "--adapters",
        required=True,
        action="append",
        nargs="+",
        metavar="A",
        help="LoRA adapters; demo: the bundled one",
    )
    parser.add_argument(
        "--combine",
        choices=("order", "sum"),
        default="order",
        help="several adapters: one after the other, each trained on the result of those before;"
        " or their sum, all trained on the same base",
    )
    parser.add_argument(
        "--output-dir",
        required=all_needed,
        type=Path,
        metavar="OUT",
        help="where the checkpoint goes" + ("" if all_needed else "; default: ADAPTER-merged"),
    )
    parser.add_argument(
        "--max-shard-size",
        type=_bytes,
        default="5GB",
        metavar="SIZE",
        help="largest file of weights: MB, GB, MiB or GiB",
    )
    _dtype(parser)
    _switch(parser, "--overwrite", "replace the output if it exists")


def _export(parser: argparse.ArgumentParser) -> None:
    _merge(parser, all_needed=False)
    _switch(parser, "--merge-lora", "the one thing that export does here")
    # Safetensors are all that is ever written; ms-swift's users say so on the command line.
    parser.add_argument(
        "--safe-serialization",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write safetensors; nothing else is written here",
    )


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a base or merged checkpoint")
    parser.add_argument("--against", metavar="BASE", help="the base it was merged from")
    parser.add_argument(
        "--adapters",
        action="append",
        nargs="+",
        default=[],
        metavar="A",
        help="the adapters that were merged into it, in order",
    )
    parser.add_argument(
        "--photos",
        nargs="+",
        type=locate,
        default=[],
        metavar="PATH",
        help="compare on these; default: some of the bundled ones",
    )
    _dtype(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    _engine(parser)
    _photos(parser, needed=False)
    parser.add_argument(
        "--max-photos", type=_positive, default=2000, metavar="N", help="open so many of the tree"
    )
    parser.add_argument("--run", type=Path, metavar="RUN_DIR", help="look at what a run wrote, too")
    parser.add_argument(
        "--compare", metavar="MODEL", help="a checkpoint that should answer the same"
    )
    parser.add_argument(
        "--compare-adapters",
        action="append",
        nargs="+",
        default=[],
        metavar="A",
        help="its adapters; without them and --compare: none",
    )
    parser.add_argument(
        "--photos",
        nargs="+",
        type=locate,
        default=[],
        metavar="PATH",
        help="ask about these; default: some of the bundled ones",
    )
    _max_new_tokens(parser, 512)
    parser.add_argument(
        "--load",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="load the model and ask it; without, only look",
    )
    _switch(parser, "--json", "write one JSON object instead of lines")


def _convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "captions", type=Path, metavar="CAPTIONS.jsonl", help="rows of `caption`, or training rows"
    )
    parser.add_argument(
        "--format",
        required=True,
        choices=EXPORTS,
        help="training: the rows that such models are trained from",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="PATH",
        help="a file for coco and training, else a folder",
    )
    parser.add_argument(
        "--labels",
        choices=("category", "desc"),
        default="category",
        help="what becomes the label of a thing",
    )
    _switch(parser, "--overwrite", "replace the output if it exists")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    captions = _command(
        kinds,
        "captions",
        "dense captions: where things are, what is said of them, both at once",
        EXAMPLES["evaluate"],
    )
    for name, text in (
        ("--predictions", "rows of `caption`"),
        ("--truth", "training rows, in pixels, or corrected rows of `caption`"),
    ):
        captions.add_argument(name, required=True, type=Path, metavar="FILE.jsonl", help=text)
    captions.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    captions.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with the worst photos drawn"
    )
    captions.add_argument(
        "--worst", type=_positive, default=20, metavar="N", help="so many photos on the page"
    )

    verdicts = _command(
        kinds,
        "verdicts",
        "verdicts against labels: what slips through, what is stopped in vain, how sure",
        "shenhe evaluate verdicts out --max-false-pass 0.02 --against out-before",
    )
    verdicts.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="what `run` wrote")
    verdicts.add_argument(
        "--against", type=Path, metavar="RUN_DIR", help="is it better than this other run?"
    )
    verdicts.add_argument(
        "--max-false-pass",
        type=float,
        metavar="SHARE",
        help="choose a --pass-above that lets at most this share of bad groups through",
    )
    verdicts.add_argument(
        "--confidence", type=float, default=0.95, metavar="C", help="of that promise"
    )
    verdicts.add_argument(
        "--truth",
        choices=("labels", "decisions"),
        default="labels",
        help="labels of the photo tree, or what people decided in `review`",
    )
    verdicts.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    verdicts.add_argument("--html", type=Path, metavar="FILE", help="write a page with curves")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=CHECKS, help="the format")
    parser.add_argument("file", metavar="FILE.jsonl", help='rows of {"raw": "..."}; - for stdin')
    _coordinates(parser)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output-dir", type=Path, default=Path("shenhe-demo"), metavar="DIR", help="the run folder"
    )


def _engine(
    parser: argparse.ArgumentParser, model_needed: bool = True, batch_size: str = "auto"
) -> None:
    group = parser.add_argument_group("model")
    _model(group, "PATH", model_needed)
    group.add_argument(
        "--adapters",
        action="append",
        nargs="+",
        default=[],
        metavar="A",
        help="LoRA adapters, applied in order; demo: the bundled one",
    )
    group.add_argument(
        "--engine",
        choices=("local", "vllm", "server", "ray"),
        default="local",
        help="what runs the model: transformers or vLLM in this process, an OpenAI-compatible"
        " server, or workers over a Ray cluster",
    )
    _dtype(group)
    group.add_argument(
        "--attn-impl", default="sdpa", metavar="NAME", help="attention of transformers"
    )
    group.add_argument(
        "--quantize",
        choices=("int8",),
        help="weights of linear layers in int8, by torchao; adapters are merged in memory first",
    )
    group.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1, ...")
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        metavar="N|auto",
        help="requests at once; auto: as many as memory allows, or as a server takes (default:"
        f" {batch_size}{'; auto with a server' if batch_size != 'auto' else ''})",
    )
    parser.set_defaults(local_batch_size=batch_size)
    group.add_argument(
        "--constrain",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="hold answers to their format: nothing malformed can be written",
    )
    group.add_argument(
        "--speculate",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="guess phrases from earlier answers, and let the model check them: same answers",
    )
    group.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 is greedy")
    group.add_argument("--top-p", type=float, default=1.0, metavar="P", help="nucleus of sampling")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="seed of sampling")
    group.add_argument(
        "--max-pixels",
        type=_positive,
        metavar="N",
        help="pixel budget of a photo; default: the checkpoint's",
    )
    _server(parser)
    _cluster(parser)
    _prompts(parser)


def _teaching(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="FILE",
        help="worked examples that are shown before each question (TOML)",
    )
    parser.add_argument(
        "--guidance", type=Path, metavar="FILE", help="written rules of missions (TOML)"
    )


def _prompts(parser: argparse.ArgumentParser) -> None:
    prompts = parser.add_argument_group("prompts")
    prompts.add_argument("--prompts", type=Path, metavar="FILE", help="your own prompts (TOML)")
    prompts.add_argument(
        "--missions", type=Path, metavar="FILE", help="missions of your own (TOML)"
    )


def _server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "server", "with --engine server; the key is read from SHENHE_API_KEY or OPENAI_API_KEY"
    )
    group.add_argument("--base-url", metavar="URL", help="where it is, as http://host:8000/v1")
    group.add_argument(
        "--request-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="an answer that takes longer is asked for again",
    )
    group.add_argument(
        "--server-patience",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="how long to wait for a server that is gone",
    )
    group.add_argument(
        "--photo-packing",
        choices=("png", "bmp"),
        help="how photos travel: png is smaller, bmp quicker to write (default: bmp on loopback,"
        " else png)",
    )
    _switch(
        group,
        "--local-media",
        "the server shares this disk: name photos that need no turning and no resizing",
    )
    _switch(
        group, "--tower-lora", "vLLM was started with --enable-tower-connector-lora: adapters of it"
    )


def _cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("vLLM and Ray")
    group.add_argument(
        "--vllm-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of vLLM itself, as tensor_parallel_size=2",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the cluster, as auto or host:6379; default: one is started on this machine",
    )
    group.add_argument(
        "--ray-engine",
        choices=("local", "vllm", "server"),
        default="local",
        help="the engine of each worker",
    )
    group.add_argument(
        "--ray-workers", type=_positive, metavar="N", help="default: one a GPU, or one a node"
    )


def _model(parser: argparse._ActionsContainer, metavar: str, needed: bool) -> None:
    text = "a checkpoint folder; demo: the bundled one"
    parser.add_argument(
        "--model",
        required=needed,
        metavar=metavar,
        help=text if needed else f"{text}; default: the adapter's args.json names it",
    )


def _dtype(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--dtype",
        "--torch-dtype",
        choices=DTYPES,
        default="auto",
        help="auto: as the checkpoint was saved",
    )


def _photos(parser: argparse.ArgumentParser, needed: bool = True) -> None:
    parser.add_argument(
        "--data-root",
        required=needed,
        type=locate,
        metavar="DIR",
        help="photos as DIR/<mission>/{审核通过|审核不通过}/<group>/<photo>; a folder, or a URL",
    )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output-dir", required=True, type=Path, metavar="DIR", help="where rows go"
    )


def _max_new_tokens(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--max-new-tokens", type=_positive, default=default, metavar="N", help="limit of one answer"
    )


def _coordinates(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--coordinates",
        choices=COORDINATES,
        default="norm1000",
        help="what the model was trained to write; pixel: of the photo as it sees it",
    )


def _deciding(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("deciding")
    group.add_argument(
        "--pass-above",
        type=float,
        metavar="P",
        help="通过 stands where its probability is at least this, else the group is undecided",
    )
    group.add_argument(
        "--fail-below",
        type=float,
        metavar="P",
        help="不通过 stands where the probability of 通过 is at most this",
    )
    group.add_argument(
        "--votes",
        type=_positive,
        default=1,
        metavar="N",
        help="ask so often, all but the first with sampling; more than half must agree",
    )


def _work(parser: argparse.ArgumentParser, unit: str = "groups") -> None:
    group = parser.add_argument_group("work")
    group.add_argument("--limit", type=_positive, metavar="N", help=f"do at most so many {unit}")
    group.add_argument(
        "--max-attempts", type=_positive, default=3, metavar="N", help="asks of a malformed answer"
    )
    _switch(group, "--restart", "begin anew; earlier files are set aside, not deleted")
    _switch(group, "--dry-run", "say what would be done, and do nothing")
    _switch(group, "--ordered", "rows in the order of the groups, whichever is answered first")
    group.add_argument(
        "--shard-size",
        type=_bytes,
        metavar="SIZE",
        help="go on in another file past it: MB, GB, MiB or GiB; default: one file",
    )
    _switch(group, "--parquet", "write rows as Parquet too, when all of them are there")
    group.add_argument(
        "--metrics-port",
        type=_positive,
        metavar="N",
        help="serve counts to Prometheus, on loopback",
    )
    _switch(
        group, "--traces", "send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says"
    )
    group.add_argument(
        "--log-file", type=Path, metavar="FILE", help="append a log to it, one JSON object a line"
    )


def _bytes(text: str) -> int:
    number = text.upper().rstrip("BIKMGT")
    unit = text.upper()[len(number) :]
    units = {"": 0, "B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4, "KIB": 1, "MIB": 2, "GIB": 3}
    if unit not in units or not number.strip().replace(".", "", 1).isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no size like 5GB or 500MB")
    size = int(float(number) * float(1024 if "I" in unit else 1000) ** units[unit])
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text} must be more than nothing")
    return size


def _file_or_none(text: str) -> Path | str:
    return Path(text) if text else ""


def _batch_size(text: str) -> int | str:
    return text if text == "auto" else _positive(text)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value
