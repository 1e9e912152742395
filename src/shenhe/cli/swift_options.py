"""What options and commands of ms-swift mean here; the options are the table swift_options.tsv.

Options that `infer` and `export` declare are parsed like all others. Of the rest the table says
which are other names, which change nothing, and which ask for work that is not done here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

Meaning = Literal["honoured", "as", "vllm", "harmless", "refused"]
LETTERS: Final = {"infer": "i", "export": "e"}
"""The commands of the table."""
ELSEWHERE: Final[Mapping[str, str]] = {
    "deploy": "shenhe serve --model DIR --adapters LORA --data FOLDER speaks OpenAI's chat"
    " completions, and decides groups",
    "rollout": "rollouts belong to training: use swift itself",
    "sft": "train with swift itself; the adapter that it writes is read by --adapters",
    "pt": "train with swift itself; the adapter that it writes is read by --adapters",
    "rlhf": "train with swift itself; its rewards are here: python -m shenhe.rewards.swift_plugin",
    "eval": "shenhe evaluate verdicts and shenhe evaluate captions measure against truth",
    "app": "shenhe chat talks in the terminal, shenhe review shows a run in a browser",
    "web-ui": "shenhe chat talks in the terminal, shenhe review shows a run in a browser",
    "sample": "shenhe infer --val_dataset FILE --temperature T --seed N samples one answer a row",
    "merge-lora": "shenhe export --merge_lora true takes the same options, shenhe merge its own",
}
"""Commands of ms-swift that are none here, and what does their work."""


class SwiftOption(NamedTuple):
    """An option of ms-swift: its name there, what it means here, and a note that says why.

    A `refused` option asks for nothing with a value of `unless`, or beside an option of it. `note`
    is the option that an `as` or a `vllm` option stands for.
    """

    name: str
    meaning: Meaning
    unless: frozenset[str]
    note: str

    def asks_for_nothing(self, values: Sequence[str], beside: Collection[str] = ()) -> bool:
        """Whether its values, or the options beside it, are those with which it changes nothing."""
        if not self.unless.isdisjoint(beside):
            return True
        words = [value.strip().casefold() for value in values]
        return bool(words) and all(not word or word in self.unless for word in words)


class Judged(NamedTuple):
    """Options that a command does not declare: those that change nothing, and the refusal."""

    ignored: list[str]
    unknown: list[str]
    refusal: str


@cache
def swift_options(command: str) -> Mapping[str, SwiftOption]:
    """Read the options of a command of ms-swift, by their names with dashes.

    >>> swift_options("export")["--push-to-hub"].meaning
    'refused'
    """
    letter, table = LETTERS[command], {}
    path = Path(__file__).with_name("swift_options.tsv")
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, commands, meaning, unless, note = (*line.split("\t"), "", "")[:5]
        if letter in commands and name != "option":
            words = frozenset(filter(None, unless.split("|")))
            option = SwiftOption(name, cast(Meaning, meaning), words, note)
            table[f"--{name.replace('_', '-')}"] = option
    return table


def in_own_words(words: Iterable[str], command: str, flags: Iterable[str]) -> Iterator[str]:
    """Write options under another name by their own, and those of vLLM as --vllm-option.

    `flags` are what the command declares, which comes first.

    >>> list(in_own_words(["--vllm_max_num_seqs", "8", "--ckpt"], "infer", ()))
    ['--vllm-option', 'max_num_seqs=8', '--ckpt']
    """
    table, declared = swift_options(command), frozenset(flags)
    prefix = ""
    for word in words:
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        option = None if name in declared else table.get(name)
        if prefix and not word.startswith("--"):
            yield prefix + word
            prefix = ""
        elif option is not None and option.meaning == "as":
            yield f"--{option.note.replace('_', '-')}{equals}{value}"
        elif option is not None and option.meaning == "vllm":
            yield "--vllm-option"
            prefix = f"{option.note}="
            if equals:
                yield prefix + value
                prefix = ""
        else:
            yield word


def judge(unknown: Sequence[str], command: str, beside: Collection[str] = ()) -> Judged:
    """Judge the words that a command did not take: options that it does not declare.

    `beside` are all options of the line.

    >>> judge(["--num-beams", "1", "--quant-bits", "4"], "export").refusal
    '--quant-bits: merge without it, and quantize the merged checkpoint with its own tool'
    """
    table = swift_options(command)
    judged = Judged([], [], "")
    refusals: list[str] = []
    for name, values in _options(unknown):
        option = table.get(name)
        if option is None:
            judged.unknown.append(name)
        elif option.meaning != "refused" or option.asks_for_nothing(values, beside):
            judged.ignored.append(name)
        else:
            refusals.append(f"{name}: {option.note}")
    if any(name == "--ignore-args-error" and "true" in _lower(v) for name, v in _options(unknown)):
        judged.ignored.extend(judged.unknown)
        judged.unknown.clear()
    return judged._replace(refusal="; ".join(refusals))


def _lower(values: Sequence[str]) -> list[str]:
    return [value.casefold() for value in values]


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield options with their values; what stands before the first one is one of its own."""
    name, values = "", list[str]()
    for word in words:
        is_option = word.startswith("--") or (len(word) == 2 and word[0] == "-" and word > "-9")
        if not is_option:
            if name:
                values.append(word)
            else:
                yield word, []
            continue
        if name:
            yield name, values
        name, equals, value = word.partition("=")
        values = [value] if equals else []
    if name:
        yield name, values
