"""Scores of captions as tables, for a terminal or a page, with the worst photos drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from shenhe import photos
from shenhe.errors import PhotoError
from shenhe.evaluation.captions import CaptionScores, PhotoScore
from shenhe.evaluation.object_counts import ObjectCounts
from shenhe.files import whole_file
from shenhe.overlays import draw_caption
from shenhe.rows.words import ALL, Words
from shenhe.templating import environment
from shenhe.values import CaptionObject

OVERLAY_SIDE = 720
COLUMNS: Final = (
    Words("模型所写", "said"),
    Words("真值", "true"),
    Words("正确", "right"),
    Words("精确率", "precision"),
    Words("召回率", "recall"),
    Words("F1", "F1"),
)


class Table(NamedTuple):
    """One table of figures, as text."""

    title: str
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class DrawnPhoto:
    """A photo of the page with its truth and its caption drawn, as data URLs, or its problem."""

    name: str
    joint: float
    answered: bool
    truth: str = ""
    predicted: str = ""
    problem: str = ""


def tables(scores: CaptionScores) -> list[Table]:
    """Lay out the figures.

    Example:
        for table in tables(scores):
            print(table.title)

    """
    kinds = sorted(scores.geometry)
    columns = [words.told() for words in COLUMNS]
    geometry = [
        [
            kind,
            *_cells(scores.geometry[kind]),
            *(
                _share(scores.average_precision.get(kind, {}).get(name))
                for name in ("mAP@0.5", "mAP@0.5:0.95")
            ),
        ]
        for kind in kinds
    ]
    joint = [[ALL.told(), *_cells(scores.joint)]]
    joint += [[name, *_cells(part)] for name, part in sorted(scores.by_category.items())]
    result = [
        Table(
            Words("几何", "Geometry").told(),
            [Words("种类", "kind").told(), *columns, "mAP@0.5", "mAP@0.5:0.95"],
            geometry,
        ),
        _matched_table(scores),
        Table(
            Words("位置和描述都正确", "Found where it is and rightly described").told(),
            [Words("类别", "category").told(), *columns],
            joint,
        ),
    ]
    errors, repairs = Words("格式错误", "Format errors"), Words("修复", "Repairs")
    head = [Words("代码", "code").told(), Words("描述份数", "captions").told()]
    for title, counts in ((errors, scores.format_errors), (repairs, scores.repairs)):
        if counts:
            rows = [[code, str(count)] for code, count in sorted(counts.items())]
            result.append(Table(title.told(), head, rows))
    return result


def _matched_table(scores: CaptionScores) -> Table:
    """Lay out how well matched objects are described, and how close their lines are."""
    chamfer, frechet = map(scores.line_distances.get, ("chamfer", "frechet"))
    rows = [
        (Words("描述完全正确", "desc exactly right"), _share(scores.exact.precision)),
        *(
            (Words(f"前 {depth} 级正确", f"right up to level {depth}"), _share(level.precision))
            for depth, level in enumerate(scores.levels, 1)
            if level.predicted
        ),
        (Words("属性，F1", "attributes, F1"), _share(scores.attributes.f1)),
        (Words("折线：平均 Chamfer 距离", "lines: mean Chamfer distance"), _distance(chamfer)),
        (Words("折线：平均 Frechet 距离", "lines: mean Frechet distance"), _distance(frechet)),
    ]
    return Table(
        Words("位置相符的物体", "Of matched objects").told(),
        [Words("项目", "what").told(), Words("数值", "value").told()],
        [[words.told(), value] for words, value in rows],
    )


def write_page(
    path: Path,
    scores: CaptionScores,
    worst: Sequence[PhotoScore],
    *,
    predictions: Path,
    truth: Path,
) -> None:
    """Write one self-contained HTML page; texts of models and file names are escaped.

    Raises: RunError if it cannot be written.

    Example:
        write_page(Path("captions.html"), scores, worst, predictions=predictions, truth=truth)

    """
    page = (
        environment("shenhe.evaluation")
        .get_template("captions.html")
        .render(
            scores=scores,
            predictions=predictions.name,
            truth=truth.name,
            tables=tables(scores),
            photos=[_draw_photo(photo) for photo in worst],
        )
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _draw_photo(photo: PhotoScore) -> DrawnPhoto:
    name = photo.truth.image.name
    try:
        image = photos.open_upright(photo.truth.image)
    except PhotoError as error:
        return DrawnPhoto(name, photo.joint, photo.answered, problem=str(error))
    truth = _draw_objects(image, photo.truth.objects)
    predicted = _draw_objects(image, photo.predicted)
    return DrawnPhoto(name, photo.joint, photo.answered, truth, predicted)


def _draw_objects(image: Image.Image, objects: Sequence[CaptionObject]) -> str:
    sheet = draw_caption(image, objects)
    sheet.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cells(counts: ObjectCounts) -> list[str]:
    cells = [str(counts.predicted), str(counts.actual), str(counts.correct)]
    return [*cells, _share(counts.precision), _share(counts.recall), _share(counts.f1)]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _distance(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
