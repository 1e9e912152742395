"""Whether the reason of a 通过 says that the group does not pass."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import NamedTuple

from shenhe.config.evidence import EvidenceRules
from shenhe.config.spelling import STRONG, flatten
from shenhe.stages.evidence.doubts import is_ignored
from shenhe.stages.evidence.phrases import (
    BLURRED,
    DEFECT,
    FAULT_WORDS,
    FAULTY,
    MAX_PHRASES,
    MISSING,
    MISSING_WORDS,
    REFUSAL_WORDS,
    REFUSED,
    TRIGGER,
    UNCLEAR,
    UNCLEAR_WORDS,
    absent_thing,
    stated,
    undo_double_negation,
)
from shenhe.stages.evidence.rules import ReadyRules, make_ready
from shenhe.stages.evidence.shortfalls import SPLIT_DENIAL
from shenhe.stages.evidence.subjects import (
    HARMLESS,
    NEGATION,
    TURNS,
    concerns,
    kinds_of,
    states,
    subjects,
)
from shenhe.values import FAIL

MAX_LENGTH = 10_000
"""Characters of a reason; what nobody reads to its end is no reason for a 通过."""
MAX_REMEMBERED = 4096
"""Clauses that are remembered with what they say."""
_ALONE = ("", "安装", "配备")
"""What may stand behind a word for absence where a clause says no more: 需要挡风板，但没有."""
_LACKING = ("缺", "少", "漏", "missing")
_SENTENCES = re.compile("[\x01;!?]|\\.(?![0-9])")
_CLAUSES = re.compile("[,…]")
_PIECES = re.compile("[，,；;。!！?？…\n]")
_CONDITION = re.compile("^(?:若|如果|如有|如(?![图上下前此])|否则|倘若|假如|一旦|只要|除非|凡)")
_CONSEQUENCE = re.compile("^(?:则|就|即|应|才|判|视为|否则|不予?通过|不合格|不得|不能|不可|需整改)")
_FOLLOWS = re.compile("则|就|应|才|即[为是可不]|判|视为|方可|不予|不得|不能|不可|不通过|需")
"""What begins a consequence within the clause of its condition."""
_IN_CONDITION = re.compile("^[^图]{1,8}$")
"""A clause between a condition and what follows from it."""
_NEEDLESS = re.compile("无需|无须|不需要|不用安装|免装")
_NEEDED = re.compile("(?<![无不])需要?安装|空间充足")
_PHOTO = re.compile("(?:图片|image|图)[_ ]?[0-9]+|无关图片|(?:该|此|部分|首|末|第.)张?图")
_EVERYWHERE = re.compile("各图|所有|全部|均未|都未|均没|都没|均看|整组|任何|各照片|每张")
_EXCUSE = re.compile("无关|不影响|不涉及|不作为|忽略|不属于|不纳入|不计入")
_IT = re.compile("其(?![他它余中])|该(?!图|张)|此处")
_RIGHT = re.compile("符合|合格|可见|显示|看到|齐全|正确|满足|已|有保护|补充|清晰|完整|拧紧|牢固")
_NOTHING_NAMED = frozenset({""})
"""What a doubt is about that names nothing."""


class Clause(NamedTuple):
    """A clause of a reason.

    `of_photo`: its sentence says, up to it, which photo it speaks of. `excused`: its sentence says
    that something does not concern the mission.
    """

    text: str
    of_photo: bool
    excused: bool


@dataclass(frozen=True)
class _Right:
    """What the clauses of a reason say to be there, and right."""

    clauses: list[Clause]

    def has(self, names: frozenset[str]) -> bool:
        """Whether a clause says so of all that is named, or of it without naming it."""
        return names <= self._names or self._of_it

    @cached_property
    def _texts(self) -> list[str]:
        return [
            text
            for text, *_ in self.clauses
            if _RIGHT.search(text)
            and not NEGATION.search(HARMLESS.sub("", text))
            and not any(word in text for word in (*MISSING_WORDS, *UNCLEAR_WORDS))
        ]

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset().union(*map(subjects, self._texts))

    @cached_property
    def _of_it(self) -> bool:
        return any(_IT.search(text) and not subjects(text) for text in self._texts)


def find_contradiction(
    reason: str, rules: EvidenceRules | None = None, fail_word: str = FAIL
) -> str:
    """Find what in the reason of a 通过 contradicts it; empty if nothing does.

    Without rules of a mission the general words decide alone. What one photo does not show is no
    contradiction if the reason says that another one does. `fail_word` is the format's for 不通过.

        >>> find_contradiction("各图均未见地排处接地螺丝，其余正常")
        '各图均未见地排处接地螺丝'
        >>> find_contradiction("螺丝符合要求，未见露铜")
        ''
    """
    ready = make_ready(rules) if rules is not None else None
    if len(reason) > MAX_LENGTH:
        return f"{reason[:20]}…"
    spelled = reason if fail_word == FAIL else _spell_fail(reason, fail_word)
    text = undo_double_negation(flatten(spelled.replace("，", ",")))
    if denial := SPLIT_DENIAL.search(text):
        return denial[0].replace(STRONG, "。")
    alarms = _alarms(ready)
    if not (alarms.search(text) or TRIGGER.search(text)):
        return ""
    needless = bool(_NEEDLESS.search(text)) and not _NEEDED.search(text)
    clauses = list(_clauses(text))
    right = _Right(clauses)
    for clause in clauses:
        if not (alarms.search(clause.text) or TRIGGER.search(clause.text)):
            continue
        lacks = _weigh(clause.text, ready, needless)
        if lacks is None or (lacks == _NOTHING_NAMED and clause.excused):
            continue
        if not (clause.of_photo and lacks and right.has(lacks)):
            return _as_written(clause.text, reason)
    return ""


def _spell_fail(reason: str, fail_word: str) -> str:
    """Write 不通过 for a format's own word for it, which stands alone if its letters are Latin."""
    word, text = (unicodedata.normalize("NFKC", part).casefold() for part in (fail_word, reason))
    pattern = re.escape(word)
    if word.isascii():
        pattern = rf"(?<![a-z0-9-]){pattern}(?![a-z0-9-])"
    return re.sub(pattern, FAIL, text)


def _as_written(clause: str, reason: str) -> str:
    """Find a clause in the reason's own letters and blanks."""
    pieces = (piece.strip() for piece in _PIECES.split(reason))
    return next((piece for piece in pieces if clause in flatten(piece)), clause)


@lru_cache(maxsize=64)
def _alarms(rules: ReadyRules | None) -> re.Pattern[str]:
    """Return the pattern of all words that may contradict; a clause without one says nothing."""
    words = {*REFUSAL_WORDS, *FAULT_WORDS, *MISSING_WORDS, *UNCLEAR_WORDS, *_words(rules)}
    return re.compile("|".join(map(re.escape, sorted(words))))


@lru_cache(maxsize=MAX_REMEMBERED)
def _weigh(clause: str, rules: ReadyRules | None, needless: bool) -> frozenset[str] | None:
    """Give what a clause says to be missing, nothing for a fault; None if it is none of these."""
    if _states_fault(clause, rules, needless):
        return frozenset()
    return _lacks(clause, rules, needless)


def _clauses(text: str) -> Iterator[Clause]:
    """Yield the clauses, up to a turn such as 但; what is said of a condition is left out."""
    for sentence in _SENTENCES.split(text):
        conditional = of_photo = False
        excused = bool(_EXCUSE.search(sentence))
        clauses = _CLAUSES.split(sentence)
        ends = [index for index, clause in enumerate(clauses) if _CONSEQUENCE.match(clause)]
        for index, whole in enumerate(clauses):  # without a consequence there is no condition
            if _CONDITION.match(whole):
                conditional = "则" not in whole and bool(ends) and index < ends[-1]
                if conditional or _FOLLOWS.search(whole):
                    continue
            elif conditional and (_CONSEQUENCE.match(whole) or _IN_CONDITION.match(whole)):
                conditional = not _CONSEQUENCE.match(whole)
                continue
            conditional = False
            of_photo = of_photo or bool(_PHOTO.search(whole))
            for clause in TURNS.split(whole):
                if clause:
                    in_photo = of_photo and not _EVERYWHERE.search(clause)
                    yield Clause(clause, in_photo, excused)


def _states_fault(clause: str, rules: ReadyRules | None, needless: bool) -> bool:
    if any(states(clause, word) for word in REFUSAL_WORDS) or stated(clause, REFUSED):
        return True
    words = [*FAULT_WORDS, *_words(rules)]
    if needless:  # what nobody needs is not fitted either
        words = [word for word in words if not word.startswith(("未安装", "没有", "缺", "未配备"))]
    starts = [clause.find(word) for word in words if states(clause, word)]
    starts += [match.start() for match in stated(clause, FAULTY)]
    if rules is None:
        return bool(starts)
    return any(
        _is_needed(subjects(clause[:start]) or subjects(clause), rules, unnamed=True)
        for start in starts
    )


def _lacks(clause: str, rules: ReadyRules | None, needless: bool) -> frozenset[str] | None:
    """Give what a clause says to be missing or not to be told, if the mission asks for it."""
    if rules is not None and is_ignored(clause, rules):
        return None
    missing = _missing(clause, rules, needless)
    return missing if missing is not None else _unclear(clause, rules)


def _missing(clause: str, rules: ReadyRules | None, needless: bool) -> frozenset[str] | None:
    text = HARMLESS.sub("", clause)
    own = rules.own if rules is not None else frozenset()
    for before, words, behind in _parts(text, MISSING_WORDS, MISSING, absent_thing(own)):
        if before.endswith("不") or NEGATION.search(before) or DEFECT.search(behind):
            continue
        if FAULTY.search(behind) or any(
            fault in behind for fault in (*FAULT_WORDS, *_words(rules))
        ):
            continue
        names = subjects(behind, own) or subjects(before, own)
        if needless and (names == {"挡风板"} or (not names and words.endswith(("装", "配")))):
            continue
        unnamed = words.startswith(_LACKING) or words.endswith(("装", "配"))
        unnamed = unnamed or (not before and behind in _ALONE)
        if rules is None or _is_needed(names, rules, unnamed):
            return names
    return None


def _unclear(clause: str, rules: ReadyRules | None) -> frozenset[str] | None:
    own = rules.own if rules is not None else frozenset()
    for before, words, _ in _parts(clause, UNCLEAR_WORDS, UNCLEAR):
        if before.endswith("不") or NEGATION.search(HARMLESS.sub("", before)):
            continue
        names = subjects(clause, own)
        if not names and words == BLURRED:  # another photo may be clear
            continue
        if rules is None or _is_in_doubt(clause, names, rules):
            return names or _NOTHING_NAMED
    return None


def _parts(
    text: str, words: tuple[str, ...], *patterns: re.Pattern[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield what stands before each word or phrase, the word, and what stands behind it."""
    for word in words:
        before, mark, behind = text.partition(word)
        if mark:
            yield before, word, behind
    for pattern in patterns:
        for match in islice(pattern.finditer(text), MAX_PHRASES):
            yield text[: match.start()], match[0], text[match.end() :]


def _is_in_doubt(clause: str, names: frozenset[str], rules: ReadyRules) -> bool:
    """Whether a doubt on what is named, or on nothing in particular, concerns the mission."""
    if not names:
        return True
    minor = {
        part.categories
        for need in rules.needs
        if need.doubt and not any(word in clause for word in need.doubt)
        for pattern in need.item
        for part in pattern.parts
    }
    return any(
        concerns(part, names)
        for part in rules.parts()
        if kinds_of(part) or part.categories not in minor
    )


def _is_needed(names: frozenset[str], rules: ReadyRules, unnamed: bool) -> bool:
    """Whether a mission asks for what a clause names; `unnamed` answers for one that names none."""
    if not names:
        return unnamed
    return any(concerns(part, names) for part in rules.parts())


def _words(rules: ReadyRules | None) -> list[str]:
    return [word for fault in rules.faults for word in fault.words] if rules else []
