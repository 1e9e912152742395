"""`shenhe infer`, for those who come from ms-swift: the rows of a dataset, or a conversation."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from shenhe.cli.chat import QuestionOptions, talk
from shenhe.cli.infer_load import SwiftLoadOptions, trained_with, translate_load, with_merged
from shenhe.cli.loading import InferLoadOptions, decisive_options, make_engine, max_new_tokens
from shenhe.cli.results import print_counts
from shenhe.cli.work import WorkOptions, run_options
from shenhe.errors import OptionError, spelled
from shenhe.options import Count, Whole, option, option_class, section
from shenhe.printable import show, show_data

if TYPE_CHECKING:
    from shenhe.intake.datasets import Dataset

MAX_STEM: Final = 80


@option_class
class InferWorkOptions(WorkOptions):
    """The same, for rows of a dataset, whose answers stand in their order."""

    limit: Count | None = option("do at most so many rows", default=None, metavar="N")
    ordered: bool = option("answers in the order of the rows", default=True)


@option_class
class DatasetOptions:
    """Which rows are answered, and where the answers go."""

    val_dataset: tuple[str, ...] = option(
        "rows with messages or query, and images: .jsonl, .json, .csv; FILE#500: 500 of them",
        default=(),
        metavar="FILE",
    )
    result_path: Path | None = option(
        "where answers go; default: infer_result/DATASET.jsonl in the checkpoint that has an"
        " args.json, else in result/MODEL",
        default=None,
        metavar="FILE.jsonl",
    )
    val_dataset_sample: Annotated[int, Whole(-1)] | None = option(
        "so many of the rows, drawn by --data-seed", default=None, metavar="N"
    )
    val_dataset_shuffle: bool = option("FILE#N draws rows: by default the first", default=False)
    dataset_shuffle: bool = option("--val-dataset-sample draws rows, else the first", default=True)
    data_seed: Annotated[int, Whole(0, 2**32 - 1)] = option("seed of that", default=42, metavar="N")
    columns: str | None = option(
        'other names of fields, as {"question_zh": "query"}', default=None, metavar="JSON"
    )
    load_data_args: bool = option("the dataset is the one that args.json names", default=False)
    metric: Literal["acc"] | None = option(
        "acc: the share of answers that are equal to their label", default=None
    )


@option_class
class InferOptions:
    """Options by ms-swift's names: of rows of a dataset, or of a conversation."""

    load: InferLoadOptions = section("model")
    rows: DatasetOptions = section("rows", default=DatasetOptions())
    swift: SwiftLoadOptions = section("ms-swift", default=SwiftLoadOptions())
    system: str | None = option(
        "a text, or a file with it: the system prompt of rows that have none; default: what"
        " args.json says it was trained with",
        default=None,
        metavar="TEXT|FILE",
    )
    question: QuestionOptions = section(default=QuestionOptions())
    eval_human: bool | None = option("talk, also where a dataset is named", default=None)
    stream: bool | None = option(
        "print answers as they are written; default: in a conversation", default=None
    )
    max_new_tokens: Count = max_new_tokens(2048)
    work: InferWorkOptions = section("work", default=InferWorkOptions())


def infer(options: InferOptions) -> int:
    """Answer the rows of a dataset, or talk where none is named.

    Raises: OptionError for options that cannot be honoured, alone or together.
    """
    rows = options.rows
    talks = options.eval_human or not (rows.val_dataset or rows.load_data_args)
    load = translate_load(options.load, options.swift, for_rows=not talks)
    args = trained_with(load) if options.swift.load_args else None
    if rows.load_data_args and not rows.val_dataset:
        if args is None or not args.val_dataset:
            raise OptionError("load_data_args", None, "args.json names no val_dataset: name it")
        rows = replace(rows, val_dataset=args.val_dataset)
    system = args.system if args else ""
    if options.system is not None:
        system = _read_system(options.system)
    elif system and args:
        show(f"system prompt of {args.path}", file=sys.stderr)
    if talks:
        _refuse_work(options)
        load = with_merged(load) if options.swift.merge_lora else load
        stream = options.stream is not False
        return talk(load, system, options.question, options.max_new_tokens, stream=stream)
    if options.question != QuestionOptions():
        name = "prompt" if options.question.prompt is not None else "image"
        raise OptionError(name, None, f"goes without {spelled('val_dataset')}")
    folder = args.path.parent if args else Path("result") / Path(load.model).name
    return _answer_rows(replace(options, load=load, rows=rows), system, folder)


def _answer_rows(options: InferOptions, system: str, folder: Path) -> int:
    from shenhe.config import load_formats, load_prompts
    from shenhe.intake.datasets import Dataset, Sampling
    from shenhe.rows.keys import failures_file
    from shenhe.runs.infer import plan_infer, run_infer

    rows = options.rows
    count = rows.val_dataset_sample if (rows.val_dataset_sample or 0) > 0 else None
    sampling = Sampling(count, rows.data_seed, rows.val_dataset_shuffle, rows.dataset_shuffle)
    dataset = Dataset(rows.val_dataset, sampling, _columns(rows.columns))
    path = rows.result_path or folder / "infer_result" / f"{_stem(rows.val_dataset)}.jsonl"
    _check_rows(dataset, rows.val_dataset, path)
    run = run_options(options.work)
    if options.work.dry_run:
        plan = plan_infer(dataset, path, run)
        show(f"infer: would do {plan.groups} rows ({plan.items} photos); {plan.already} are done")
        show(f"  answers go to {path}")
        return 0
    formats = load_formats(options.load.config.formats)
    template = load_prompts(options.load.config.prompts, formats).caption
    load = with_merged(options.load) if options.swift.merge_lora else options.load
    if options.stream:
        from shenhe.cli.shown_answers import ShownAnswers

        run = replace(run, observers=(*run.observers, ShownAnswers()))
    counts = run_infer(
        make_engine(load),
        dataset,
        template,
        path,
        engine_options=decisive_options(load),
        run=run,
        system=system,
        max_new_tokens=options.max_new_tokens,
        formats=formats,
    )
    code = print_counts("infer", "rows", counts, failures_file(path))
    show(f"  answers are in {path}", file=sys.stderr)
    if rows.metric == "acc":
        _print_accuracy(path)
    return code


def _check_rows(dataset: Dataset, sources: tuple[str, ...], path: Path) -> None:
    if dataset.is_read_from(path):
        raise OptionError("result_path", path, "is the dataset itself: name another file")
    if next(iter(dataset), None) is None:
        raise OptionError("val_dataset", " ".join(sources), "holds no rows")


def _refuse_work(options: InferOptions) -> None:
    """Refuse what only a dataset gives a meaning: nothing is to be left undone in silence."""
    rows = options.rows
    goes_with = f"goes with {spelled('val_dataset', 'FILE')}"
    if rows.result_path is not None:
        problem = f"{goes_with}; /save FILE keeps a conversation"
        raise OptionError("result_path", rows.result_path, problem)
    if options.eval_human is False:
        raise OptionError("eval_human", "false", goes_with)
    for name in ("val_dataset_sample", "columns", "metric"):
        if getattr(rows, name) is not None:
            raise OptionError(name, None, goes_with)
    usual = InferWorkOptions()
    for name in InferWorkOptions.__dataclass_fields__:
        if getattr(options.work, name) != getattr(usual, name):
            raise OptionError(name, None, goes_with)


def _read_system(value: str) -> str:
    """Read a file, or take the text itself, as ms-swift does, with its sign for a new line."""
    path = Path(value)
    try:
        is_file = path.is_file()
    except OSError:  # too long for a name
        is_file = False
    if not is_file and value.endswith(".txt"):
        raise OptionError("system", value, "no such file")
    if not is_file:
        return value.replace("\\n", "\n")
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("system", value, f"cannot be read: {error}") from error


def _columns(text: str | None) -> Mapping[str, str]:
    if text is None:
        return {}
    try:
        columns = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError("columns", None, f"is no JSON: {error}") from error
    if not isinstance(columns, dict) or not all(isinstance(v, str) for v in columns.values()):
        raise OptionError("columns", None, "is no JSON object of names")
    return columns


def _stem(sources: tuple[str, ...]) -> str:
    """Name the answers after their datasets: the same command goes on with the same file."""
    stems = [Path(re.sub(r"#[0-9]+$", "", source)).stem for source in sources]
    return "+".join(stems)[:MAX_STEM]


def _print_accuracy(path: Path) -> None:
    from shenhe.rows.ledger import read_rows

    right = total = 0
    for row in read_rows(path):
        total += 1
        right += row.get("response") == row.get("labels")
    show_data(json.dumps({"acc": right / total if total else None, "rows": total}))
