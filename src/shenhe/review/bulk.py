"""Decisions on several groups at once: what the second look shows of each, and what it stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import HTTPException

from shenhe.errors import ConflictError
from shenhe.review.faults import faults_digest, find_faults
from shenhe.review.forms import Form
from shenhe.review.index import GroupRows, Index
from shenhe.review.views import CHOICES, answer_label
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.evidence_table import tabulate_evidence
from shenhe.rows.words import FLAG_WORDS, words_of
from shenhe.values import FAIL, PASS, UNSURE

MOST: Final = 50
"""How many groups may be decided at once: a page of the queue."""
AGREE: Final = "agree"
"""The choice that gives each group the verdict of the model."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A group that is about to be decided with others, as it is now."""

    group: GroupRows
    current: Decision | None
    version: int
    against: Sequence[str]
    """What speaks against 通过, in words: it needs a confirmation of its own."""
    marks: Sequence[str]
    """What is said of its photos beside the model, in words."""

    @property
    def digest(self) -> str:
        """Identify what speaks against 通过: a confirmation holds for that alone."""
        return faults_digest(self.against) if self.against else ""


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What became of a form: how many groups were decided, and why the others were not."""

    decided: int
    left: dict[str, str]
    """Words that say why, by the key of the group."""


def look_again(
    index: Index, group: GroupRows, vocabulary: Sequence[str], comment: str, language: str
) -> SecondLook:
    """Look at a group as it is now, with what speaks against 通过 with this comment."""
    _, current, version = index.history(group.entry)
    stands = current and current.opinion and current.stands_on(group.entry.inputs)
    opinion = Opinion(choice=PASS, comment=comment, lines=group.lines)
    against = list(find_faults(opinion, vocabulary))
    if stands and current and current.opinion:
        # What a person has said is not wiped out by a tick: neither the reasons nor the choice.
        against += [FAIL] if current.opinion.choice == FAIL else []
        against += find_faults(current.opinion, vocabulary)
    photos = list(group.lines)
    table = tabulate_evidence(group.verdict, photos)
    against += [
        f"{line.item.item}: {getattr(line.words, language)}"
        for line in (table.lines if table else ())
        if line.name != "right"
    ]
    codes = (code for code in group.entry.why if code != UNSURE)
    against += dict.fromkeys(getattr(words_of(code), language) for code in codes)
    flags = sorted(group.marks.all_flags)
    return SecondLook(
        group,
        current if stands else None,
        version,
        tuple(dict.fromkeys(against)),
        [getattr(FLAG_WORDS[flag], language) for flag in flags],
    )


def decide_each(
    index: Index, form: Form, reviewer: str, vocabulary: Sequence[str], language: str
) -> BulkOutcome:
    """Store a decision for each ticked group that is still as the form shows it.

    One after the other: what is stored when a server is killed stays.
    Raises: HTTPException 400 for a form that no page sends.
    """
    choice = form.get("choice", "")
    if choice not in (*CHOICES, AGREE):
        raise HTTPException(400)
    decided, left = 0, {}
    for number in range(MOST):
        key = form.get(f"key-{number}", "")
        if not key or not form.get(f"take-{number}"):
            continue
        fields = {name: form.get(f"{name}-{number}", "") for name in ("version", "seen", "inputs")}
        fields |= {"despite": form.get(f"despite-{number}", ""), "choice": choice}
        fields["comment"] = form.get("comment", "").strip()
        reason = _decide(index, key, fields, reviewer, vocabulary, language)
        if reason:
            left[key] = reason
        else:
            decided += 1
    return BulkOutcome(decided, left)


def _decide(
    index: Index,
    key: str,
    fields: Form,
    reviewer: str,
    vocabulary: Sequence[str],
    language: str,
) -> str:
    """Decide one group; give the word that says why it was not decided, empty if it was."""
    group = index.group_by_key(key)
    if group is None:
        return "left_gone"
    entry = group.entry
    if fields["seen"] != group.verdict.timestamp or fields["inputs"] != (entry.inputs or ""):
        return "left_changed"
    choice = group.verdict.verdict if fields["choice"] == AGREE else fields["choice"]
    if choice is None:
        return "left_undecided"
    look = look_again(index, group, vocabulary, fields["comment"], language)
    if fields["version"] != str(look.version):
        return "left_decided"
    if choice == PASS and look.against and fields["despite"] != look.digest:
        return "left_unconfirmed"
    opinion = Opinion.model_validate({"choice": choice, "comment": fields["comment"]})
    if look.current and look.current.opinion:
        # Corrections are of the photos: they hold whatever is decided.
        kept = ("lines", "descs", "shapes")
        opinion = opinion.model_copy(
            update={name: getattr(look.current.opinion, name) for name in kept}
        )
    opinion = answer_label(opinion, group, look.current, asked=False)
    try:
        index.decisions.add(Decision.on(entry, opinion, reviewer, look.version + 1))
    except ConflictError:
        return "left_decided"
    return ""
