"""What the lines of a group show of its mission: each need, and each fault that is stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shenhe.config.evidence import EvidenceRules
from shenhe.stages.evidence.rules import ReadyNeed, ReadyRules, make_ready
from shenhe.stages.evidence.showing import Parts, Showing, look_at
from shenhe.values import EVIDENCE_AGAINST, EVIDENCE_MISSING, EvidenceItem, EvidenceState

LACKING = "缺少"


def check(lines: Mapping[str, str], rules: EvidenceRules) -> tuple[EvidenceItem, ...]:
    """Hold the lines of a group against rules: every need, and every fault that a line states.

    >>> rules = EvidenceRules(needs=["电线"], faults=["电线/分布散乱"])
    >>> [(item.item, item.state) for item in check({"图片_1": "电线/分布散乱×1"}, rules)]
    [('电线', 'seen'), ('电线 分布散乱', 'stated')]
    """
    ready = make_ready(rules)
    showings = {photo: look_at(line, rules) for photo, line in lines.items()}
    items: list[EvidenceItem] = []
    for site, photos in _sites(showings).items():
        if site or len(photos) == len(lines):
            items += _needs(photos, ready, site)
        items += _faults(photos, ready, site)
    return tuple(items)


def codes(items: Iterable[EvidenceItem]) -> list[str]:
    """Give the codes for which a 通过 is held back, in their order.

    >>> codes([EvidenceItem("电线", "need", "missing")])
    ['evidence_missing']
    """
    missing = against = False
    for item in items:
        missing |= item.kind == "need" and item.state in ("missing", "doubtful")
        against |= item.kind == "fault" and item.state == "stated"
    return [EVIDENCE_MISSING] * missing + [EVIDENCE_AGAINST] * against


def describe(items: Iterable[EvidenceItem]) -> str:
    """Say in one line what is missing, doubtful or stated; empty if nothing is.

    >>> describe([EvidenceItem("光纤 无保护措施", "fault", "stated", wrong=("图片_2",))])
    '图片_2: 光纤 无保护措施'
    """
    words = []
    for item in items:
        site = f"（站点距离/{item.place}）" if item.place else ""
        if item.state == "missing":
            words.append(f"{LACKING}: {item.item}{site}")
        elif item.state == "doubtful":
            words.append(f"{'、'.join(item.doubtful)}: {item.item} 存疑{site}")
        elif item.state == "stated":
            words.append(f"{'、'.join(item.wrong)}: {item.item}{site}")
    return "; ".join(words)


def _sites(showings: Mapping[str, Showing]) -> dict[str, dict[str, Showing]]:
    """Sort photos by the place that they tell; those that tell none, or two, prove nothing.

    Where no line tells a place, all photos show one. A fault counts wherever it is.
    """
    sites = sorted({site for showing in showings.values() for site in showing.distances})
    if not sites:
        return {"": dict(showings)}
    sorted_photos: dict[str, dict[str, Showing]] = {site: {} for site in sites}
    for photo, showing in showings.items():
        if len(showing.distances) == 1:
            sorted_photos[next(iter(showing.distances))][photo] = showing
    told = {photo for photos in sorted_photos.values() for photo in photos}
    if rest := {photo: s for photo, s in showings.items() if photo not in told}:
        sorted_photos[""] = rest
    return sorted_photos


def _needs(photos: Mapping[str, Showing], rules: ReadyRules, site: str) -> list[EvidenceItem]:
    items = []
    for index, need in enumerate(rules.needs):
        if need.when and not any(index in showing.when for showing in photos.values()):
            continue
        sure = {photo: showing.right[index] for photo, showing in photos.items()}
        unsure = {photo: showing.doubtful[index] for photo, showing in photos.items()}
        right = _joined(sure, rules.by_group)
        state: EvidenceState = "seen"
        if not right:
            both = {photo: _merge(sure[photo], unsure[photo]) for photo in photos}
            state = "doubtful" if _joined(both, rules.by_group) else "missing"
        doubtful = [p for p, patterns in unsure.items() if any(map(any, patterns))]
        wrong = [
            photo
            for photo, showing in photos.items()
            if index in showing.lacking
            or index in showing.unseen
            or any(
                fault in showing.remarked or _any(showing.faults[fault]) for fault in need.faults
            )
        ]
        items.append(
            EvidenceItem(
                need.title, "need", state, tuple(right), tuple(wrong), tuple(doubtful), site
            )
        )
        items += _missing(photos, index, need, right, site)
    return items


def _missing(
    photos: Mapping[str, Showing], index: int, need: ReadyNeed, right: Sequence[str], site: str
) -> list[EvidenceItem]:
    """Give the fault that remarks state by saying that a need is missing.

    What is not to be seen on one photo may stand on another; what is lacking, nowhere.
    """
    lacking = [photo for photo, showing in photos.items() if index in showing.lacking]
    unseen = [photo for photo, showing in photos.items() if index in showing.unseen]
    if not (lacking or unseen):
        return []
    stated = lacking or not all(set(right) - {photo} for photo in unseen)
    state: EvidenceState = "stated" if stated else "settled"
    wrong = tuple(photo for photo in photos if photo in (*lacking, *unseen))
    return [EvidenceItem(LACKING + need.title, "fault", state, tuple(right), wrong, place=site)]


def _faults(photos: Mapping[str, Showing], rules: ReadyRules, site: str) -> list[EvidenceItem]:
    items = []
    for index, fault in enumerate(rules.faults):
        by_photo = {photo: showing.faults[index] for photo, showing in photos.items()}
        stated = {*_joined(by_photo, rules.by_group)}
        stated |= {photo for photo, showing in photos.items() if index in showing.remarked}
        if not stated:
            continue
        settling = [photo for photo, showing in photos.items() if index in showing.unless]
        settled = all(set(settling) - {photo} for photo in stated)
        wrong = tuple(photo for photo in photos if photo in stated)
        state: EvidenceState = "settled" if settled else "stated"
        items.append(EvidenceItem(fault.title, "fault", state, tuple(settling), wrong, place=site))
    return items


def _joined(photos: Mapping[str, Sequence[Parts]], by_group: bool) -> list[str]:
    """List the photos that show a pattern, each part of it in the same group if groups count."""
    showing: set[str] = set()
    patterns = len(next(iter(photos.values()), ()))
    for index in range(patterns):
        parts = [
            frozenset().union(*groups)
            for groups in zip(*(patterns[index] for patterns in photos.values()), strict=True)
        ]
        shared = frozenset.intersection(*parts) if by_group else frozenset()
        if by_group and len(parts) > 1:
            showing |= {
                p for p, rows in photos.items() if any(part & shared for part in rows[index])
            }
        elif all(parts):
            showing |= {p for p, rows in photos.items() if any(rows[index])}
    return [photo for photo in photos if photo in showing]


def _merge(sure: Sequence[Parts], unsure: Sequence[Parts]) -> tuple[Parts, ...]:
    return tuple(
        tuple(a | b for a, b in zip(one, two, strict=True))
        for one, two in zip(sure, unsure, strict=True)
    )


def _any(patterns: Sequence[Parts]) -> bool:
    return any(all(parts) for parts in patterns)
