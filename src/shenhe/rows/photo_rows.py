"""Rows of a list of photos: a line a group, made without a model."""

from __future__ import annotations

from pydantic import Field

from shenhe.messages import PhotoFacts
from shenhe.row_types import SCHEMA, Row
from shenhe.values import Label, LeftOut, ReusedPhoto


class ListedPhoto(Row):
    """A photo of a group; without facts, the code and the message of why it cannot be read."""

    name: str
    flags: list[str] = Field(default_factory=list)
    facts: PhotoFacts | None = None
    code: str | None = None
    message: str | None = None


class GroupPhotosRow(Row):
    """What is in a group, what was left out of it, and what is to be said of its photos.

    A row without a `group_id` is about something that was not looked at, such as a folder.
    `label_meant` is the label folder that was probably meant, for a group in one of another name.
    `problem` says why a group, or a folder, was not looked at; it is empty for a group that was.
    """

    schema_: int = Field(default=SCHEMA, alias="schema")
    group_id: str | None
    mission: str
    label: Label | None = None
    folder: str | None = None
    photos: list[ListedPhoto] = Field(default_factory=list)
    flags: list[str] = Field(default_factory=list)
    reused: list[ReusedPhoto] = Field(default_factory=list)
    left_out: list[LeftOut] = Field(default_factory=list)
    label_meant: str | None = None
    problem: str = ""
