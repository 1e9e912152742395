"""The row of a decision: a person's opinion on a group, and what it was given on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import from_json

from shenhe.row_types import Row, utc_now
from shenhe.rows.corrected_objects import CorrectedObject
from shenhe.rows.decision_tables import COLUMNS
from shenhe.values import Label, Ruling

DEFERRED = "待定"
DecisionChoice = Literal["通过", "不通过", "待定"]


class Adjudicated(Row):
    """Two opinions that a lead decided between: the number of the decision that there was, that of
    the second opinion, and whose they are.
    """

    first: int
    second: int
    reviewers: tuple[str, str]


class Opinion(Row):
    """The opinion of one person on a group: a choice, its reasons, and corrections of the model.

    `faults` are the reasons that were chosen for 不通过, and `fault` is the same in one line: rows
    of earlier versions have one reason, there alone. `lines` are corrected Stage-A lines by photo.
    `shapes` are all objects of the photos whose caption was corrected. `label_wrong` says that the
    label of the photo tree is wrong. `descs` is what earlier versions stored instead of `shapes`:
    descs by photo and object of a caption; None marks an object that is not on the photo.
    `adjudicates` names the two opinions that it decides between, where it does.
    """

    choice: DecisionChoice
    comment: str = ""
    fault: str = ""
    lines: Mapping[str, str] = Field(default_factory=dict)
    descs: Mapping[str, Mapping[str, str | None]] = Field(default_factory=dict)
    label_wrong: bool = False
    faults: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[CorrectedObject, ...]] = Field(default_factory=dict)
    adjudicates: Adjudicated | None = None

    @model_serializer(mode="wrap")
    def _leave_out(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Write the two opinions only where it decides between any: most rows name none."""
        fields: dict[str, object] = write(self)
        if self.adjudicates is None:
            fields.pop("adjudicates", None)
        return fields

    @property
    def corrected_captions(self) -> tuple[str, ...]:
        """Keys of the photos whose caption was corrected."""
        return (*self.descs, *(photo for photo in self.shapes if photo not in self.descs))

    @model_validator(mode="before")
    @classmethod
    def _tell_faults_both_ways(cls, value: object) -> object:
        """Read the one fault of an earlier version's row, and write several as one text too."""
        if not isinstance(value, dict):
            return value
        fault, faults = value.get("fault", ""), value.get("faults")
        if faults is None and isinstance(fault, str):
            return {**value, "faults": [fault] if fault else []}
        if isinstance(faults, list | tuple) and all(isinstance(each, str) for each in faults):
            distinct = [each for each in dict.fromkeys(faults) if each]
            return {**value, "faults": distinct, "fault": "，".join(distinct)}
        return value


class JudgedGroup(Protocol):
    """A group with the model's verdict on it, such as an entry of the queue."""

    @property
    def key(self) -> str:
        """Key of the group."""

    @property
    def group_id(self) -> str:
        """Id of the group; groups of other missions or labels may have the same."""

    @property
    def mission(self) -> str:
        """Mission of the group."""

    @property
    def label(self) -> Label | None:
        """Label of the photo tree."""

    @property
    def verdict(self) -> Ruling | None:
        """Verdict of the model; None where it is undecided."""

    @property
    def inputs(self) -> str | None:
        """Fingerprint of the photos without their times; None where it is unknown."""


class Judgement(Row):
    """One version of a person's opinion on a group; `opinion` is None where all was taken back.

    `verdict` is the model's at that time; `undoes` is the number of the row that this one takes
    back. `inputs` is the fingerprint, without times, of the photos that were judged; None where it
    was unknown, as it was to earlier versions. Rows and tables call the opinion `said`.
    """

    number: int = 0
    key: str
    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    version: int = Field(ge=1)
    opinion: Opinion | None = Field(validation_alias="said", serialization_alias="said")
    reviewer: str
    at: str
    undoes: int | None = None
    inputs: str | None = None

    @classmethod
    def judge(
        cls, group: JudgedGroup, opinion: Opinion, reviewer: str, version: int, **more: object
    ) -> Self:
        """Judge a group, now; `more` are the fields of this kind of row alone."""
        fields: dict[str, object] = {
            "key": group.key,
            "group_id": group.group_id,
            "mission": group.mission,
            "label": group.label,
            "verdict": group.verdict,
            "version": version,
            "opinion": opinion,
            "reviewer": reviewer,
            "at": utc_now(),
            "inputs": group.inputs,
        }
        return cls.model_validate(fields | more)

    def stands_on(self, inputs: str | None) -> bool:
        """Whether it holds for a group whose photos have this fingerprint.

        One with a fingerprint does not hold for unknown photos, as where Stage-A fails now.
        `decision_tables.STANDS` is the same rule in SQL.
        """
        return self.inputs is None or self.inputs == inputs


class Decision(Judgement):
    """A judgement that is the current one of its group until the next one.

    `audit` is the probability with which a blind audit drew the group; None for a decision that was
    not made blind.
    """

    audit: float | None = Field(default=None, gt=0, le=1)

    @classmethod
    def on(
        cls,
        group: JudgedGroup,
        opinion: Opinion,
        reviewer: str,
        version: int = 1,
        audit: float | None = None,
    ) -> Self:
        """Decide a group, now."""
        return cls.judge(group, opinion, reviewer, version, audit=audit)

    @property
    def overrules(self) -> bool:
        """Whether it contradicts the model; an undecided group cannot be overruled."""
        if self.opinion is None or self.verdict is None:
            return False
        return self.opinion.choice not in (DEFERRED, self.verdict)


def to_cells(decision: Decision) -> tuple[object, ...]:
    """Give the cells of a decision in the order of `COLUMNS`."""
    cells = decision.model_dump(by_alias=True, exclude={"number", "opinion"})
    cells["said"] = decision.opinion.to_json() if decision.opinion else None
    return tuple(cells[name] for name in COLUMNS.split(", "))


def from_cells(row: tuple[object, ...]) -> Decision:
    """Read a decision from its number and its cells.

    Raises: ValueError for cells that no shenhe wrote.
    """
    cells = dict(zip(["number", *COLUMNS.split(", ")], row, strict=True))
    cells["said"] = from_json(str(cells["said"])) if cells["said"] else None
    return Decision.model_validate(cells)
