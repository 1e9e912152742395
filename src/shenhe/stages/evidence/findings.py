"""What the lines of a group show of its mission: each need, and each fault that is stated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shenhe.config.evidence import EvidenceRules
from shenhe.stages.evidence.rules import ReadyFault, ReadyNeed, ReadyRules, make_ready
from shenhe.stages.evidence.showing import Mark, Showing, look_at
from shenhe.values import EVIDENCE_AGAINST, EVIDENCE_MISSING, EvidenceItem, EvidenceState

LACKING = "缺少"


def check(lines: Mapping[str, str], rules: EvidenceRules) -> tuple[EvidenceItem, ...]:
    """Hold the lines of a group against rules: every need, and every fault that a line states.

    >>> rules = EvidenceRules(needs=["电线"], faults=["电线/分布散乱"])
    >>> [(item.item, item.state) for item in check({"图片_1": "电线/分布散乱×1"}, rules)]
    [('电线', 'seen'), ('电线 分布散乱', 'stated')]
    """
    ready = make_ready(rules)
    showings = {photo: look_at(line, ready) for photo, line in lines.items()}
    items: list[EvidenceItem] = []
    for site, photos in _sites(showings).items():
        if site or len(photos) == len(showings):
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
    """Sort photos by the place that they tell.

    Where lines tell places, "" has the photos that tell none, or two: they prove nothing.
    """
    sites: dict[str, dict[str, Showing]] = {}
    for photo, showing in showings.items():
        site = next(iter(showing.distances)) if len(showing.distances) == 1 else ""
        sites.setdefault(site, {})[photo] = showing
        for told in showing.distances:
            sites.setdefault(told, {})
    return dict(sorted(sites.items())) or {"": {}}


def _needs(photos: Mapping[str, Showing], rules: ReadyRules, site: str) -> Iterator[EvidenceItem]:
    sure = _photos_by_rule({photo: showing.right for photo, showing in photos.items()}, rules.needs)
    for number, need in enumerate(rules.needs):
        if need.when and not any(number in showing.when for showing in photos.values()):
            continue
        right = sure.get(number, ())
        doubtful = [p for p, s in photos.items() if any(mark.rule == number for mark in s.doubtful)]
        state: EvidenceState = "seen"
        if not right:
            both = {p: s.right | s.doubtful for p, s in photos.items()} if doubtful else {}
            state = "doubtful" if number in _photos_by_rule(both, rules.needs) else "missing"
        wrong = [photo for photo, showing in photos.items() if _is_wrong(showing, number, need)]
        yield EvidenceItem(
            need.title, "need", state, tuple(right), tuple(wrong), tuple(doubtful), site
        )
        if wrong:
            yield from _lacking(photos, number, need, right, site)


def _is_wrong(showing: Showing, number: int, need: ReadyNeed) -> bool:
    """Whether a line states a fault of what is needed."""
    return (
        number in showing.lacking
        or number in showing.unseen
        or any(fault in showing.remarked for fault in need.faults)
        or any(mark.rule in need.faults for mark in showing.faults)
    )


def _lacking(
    photos: Mapping[str, Showing], number: int, need: ReadyNeed, right: Sequence[str], site: str
) -> Iterator[EvidenceItem]:
    """Yield the fault that remarks state by saying that a need is missing.

    What is not to be seen on one photo may stand on another; what is lacking, nowhere.
    """
    lacking = [photo for photo, showing in photos.items() if number in showing.lacking]
    unseen = [photo for photo, showing in photos.items() if number in showing.unseen]
    if lacking or unseen:
        settled = not lacking and all(set(right) - {photo} for photo in unseen)
        state: EvidenceState = "settled" if settled else "stated"
        wrong = tuple(photo for photo in photos if photo in (*lacking, *unseen))
        yield EvidenceItem(LACKING + need.title, "fault", state, tuple(right), wrong, place=site)


def _faults(photos: Mapping[str, Showing], rules: ReadyRules, site: str) -> Iterator[EvidenceItem]:
    if not any(showing.faults or showing.remarked for showing in photos.values()):
        return
    seen = _photos_by_rule(
        {photo: showing.faults for photo, showing in photos.items()}, rules.faults
    )
    for number, fault in enumerate(rules.faults):
        stating = set(seen.get(number, ()))
        stating |= {photo for photo, showing in photos.items() if number in showing.remarked}
        if stating:
            settling = tuple(photo for photo, showing in photos.items() if number in showing.unless)
            settled = all(set(settling) - {photo} for photo in stating)
            state: EvidenceState = "settled" if settled else "stated"
            wrong = tuple(photo for photo in photos if photo in stating)
            yield EvidenceItem(fault.title, "fault", state, settling, wrong, place=site)


def _photos_by_rule(
    marks: Mapping[str, frozenset[Mark]], rules: Sequence[ReadyNeed | ReadyFault]
) -> dict[int, list[str]]:
    """List the photos that show a rule, each part of one of its patterns in the same group."""
    photos: dict[tuple[int, int, str], dict[str, None]] = {}
    parts: dict[tuple[int, int, str], set[int]] = {}
    for photo, shown in marks.items():
        for rule, pattern, part, group in shown:
            key = (rule, pattern, group)
            photos.setdefault(key, {})[photo] = None
            parts.setdefault(key, set()).add(part)
    by_rule: dict[int, dict[str, None]] = {}
    for key, seen in parts.items():
        if len(seen) == len(rules[key[0]].item[key[1]].parts):
            by_rule.setdefault(key[0], {}).update(photos[key])
    return {
        rule: [photo for photo in marks if photo in showing] for rule, showing in by_rule.items()
    }
