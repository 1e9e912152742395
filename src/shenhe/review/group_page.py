"""What a page of a group shows beside decisions, and the check of the opinion that it sends."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from shenhe.errors import FormatError
from shenhe.formats import summary
from shenhe.review.corrections import (
    CorrectionError,
    read_corrections,
    write_corrections,
)
from shenhe.review.forms import SHAPES, Form
from shenhe.review.index import GroupRows
from shenhe.review.shape_data import (
    colours_of,
    lay_out_editor,
    lay_out_shapes,
    list_corrections,
)
from shenhe.review.site import Site
from shenhe.review.unsaved import (
    UnsavedDecision,
    confirm_descs,
    describe_correction,
    find_doubt,
)
from shenhe.review.views import (
    CHOICES,
    Draft,
    lay_out_photos,
    name_missing_evidence,
)
from shenhe.review.words import load_words, select_words
from shenhe.rows.decision_rows import Opinion
from shenhe.rows.evidence_table import CELLS, tabulate_evidence
from shenhe.rows.outcomes import Outcome
from shenhe.rows.reason_parts import split_at_photos, split_code
from shenhe.templating import fill_sentence
from shenhe.values import UNDECIDED_CODES
from shenhe.web.pictures import photo_tag
from shenhe.web.preferences import read_language


def describe_group(
    request: Request, site: Site, group: GroupRows, draft: Draft
) -> dict[str, object]:
    """Give what the templates of a group's page show beside decisions: photos, lines, evidence."""
    photos, verdict = lay_out_photos(group, draft), group.verdict
    shapes, language = lay_out_shapes(photos), read_language(request)
    return {
        "number": group.entry.number,
        "group": group,
        "ruling": Outcome.of(verdict).ruling,
        "code": split_code(verdict.verdict, verdict.reason, language)[0],
        "reason": split_at_photos(verdict, len(photos), language),
        "evidence": tabulate_evidence(verdict, [photo.key for photo in photos]),
        "no_evidence": name_missing_evidence(verdict.meta.evidence),
        "cells": CELLS,
        "coded": UNDECIDED_CODES,
        "photos": photos,
        "shapes": shapes,
        "colours": colours_of(shapes, site.vocabulary),
        "corrections": draft.typed_shapes or write_corrections(list_corrections(photos)),
        "editor_words": select_words(language, "edit_"),
        "editor": lay_out_editor(photos, site.vocabulary, site.polygons),
        "draft": draft,
        "choices": CHOICES,
        "chips": site.reasons.offer(group.entry.mission, draft.faults),
    }


def check_opinion(
    request: Request, site: Site, form: Form, group: GroupRows, opinion: Opinion
) -> tuple[Opinion, UnsavedDecision | None]:
    """Give the opinion with its captions, and why it is not stored.

    The page must have shown the present rows, its lines and captions must be valid, and faults and
    descs that the vocabulary does not know must be confirmed.
    """
    inputs, typed_shapes = group.entry.inputs or "", form.get(SHAPES, "")
    problem = _find_invalid_line(request, site, opinion.lines)
    try:
        shapes = read_corrections(typed_shapes, group, site.polygons)
        opinion, typed_shapes = opinion.model_copy(update={"shapes": shapes}), ""
    except CorrectionError as error:
        words = load_words(read_language(request))
        problem = problem or describe_correction(error, words)
    draft = Draft.of(opinion, typed_shapes)
    if form.get("seen") != group.verdict.timestamp or form.get("inputs", inputs) != inputs:
        return opinion, UnsavedDecision(draft, 409, changed=True)
    if problem:
        return opinion, UnsavedDecision(draft, 422, problem=problem)
    opinion, unsaved = confirm_descs(request, opinion, site.vocabulary)
    return opinion, unsaved or find_doubt(request, opinion, site.reasons.vocabulary)


def first_photo_tag(site: Site, number: int | None) -> str:
    """Identify the first photo of the next group, which the browser fetches ahead."""
    group = site.index.group(number) if number else None
    return photo_tag(group.images[0]) if group and group.images else ""


def _find_invalid_line(request: Request, site: Site, lines: Mapping[str, str]) -> str:
    """Describe the first line that is no summary, in the reader's language; empty for none."""
    for key, line in lines.items():
        try:
            summary.parse_stored(line, site.prompting.formats.summary)
        except FormatError as error:
            words = load_words(read_language(request))
            sentence = words.get(f"line_{error.code}", words["line_other"])
            return fill_sentence(sentence, photo=key)
    return ""
