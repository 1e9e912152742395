"""Groups of photos, their Stage-A lines, and the verdict that the mission's rule gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from recipes.demo_checkpoint.scenes import Scene, make_scene
from shenhe.formats import summary
from shenhe.values import FAIL, PASS, Judgement, photo_key

INSTALL, GROUND, FIBRE, BAFFLE = (
    "BBU安装方式检查（正装）",
    "BBU接地线检查",
    "BBU线缆布放要求",
    "挡风板安装检查",
)
KINDS_OF = {
    INSTALL: ("install",),
    GROUND: ("ground_cabinet", "ground_bar"),
    FIBRE: ("fibre_bbu", "fibre_odf"),
    BAFFLE: ("baffle",),
}
ESSENTIAL = {
    INSTALL: ("BBU设备", "BBU安装螺丝"),
    GROUND: ("机柜处接地螺丝", "地排处接地螺丝", "电线"),
    FIBRE: ("BBU端光纤插头", "ODF端光纤插头", "光纤"),
    BAFFLE: ("BBU设备",),
}
REMARKS = ("无法判断是否符合要求", "照片模糊", "疑似遮挡")


@dataclass(frozen=True, slots=True)
class MadeGroup:
    """A made group: `lines` are the true Stage-A lines in the order of the photos."""

    mission: str
    scenes: tuple[Scene, ...]
    lines: tuple[str, ...]
    judgement: Judgement


def make_group(mission: str, seed: str, with_remarks: bool = False) -> MadeGroup:
    """Make the group that belongs to a seed; a little over half of all groups pass."""
    rng = Random(f"group/{mission}/{seed}")
    sound = rng.random() < 0.62
    kinds = list(KINDS_OF[mission])
    count = rng.choices((1, 2, 3, 4), (1, 5, 5, 3))[0]
    while len(kinds) < count:
        kinds.append(rng.choice(KINDS_OF[mission]))
    rng.shuffle(kinds)
    kinds = kinds[: max(count, 1 if rng.random() < 0.1 else len(KINDS_OF[mission]))]
    if rng.random() < 0.25:
        kinds.insert(rng.randrange(len(kinds) + 1), "nothing")
    scenes = tuple(
        make_scene(kind, f"{seed}/{index}", 0.0 if sound else 0.35)
        for index, kind in enumerate(kinds)
    )
    lines = tuple(
        summary.render(
            scene.descs,
            rng.choice(REMARKS) if with_remarks and scene.things and rng.random() < 0.04 else "",
        )
        for scene in scenes
    )
    return MadeGroup(mission, scenes, lines, judge(mission, lines))


def judge(mission: str, lines: Sequence[str]) -> Judgement:
    """Apply a mission's rule to true lines; the reason names the photos it rests on."""
    parts = [
        (photo_key(index), part.rsplit("×", 1)[0])
        for index, line in enumerate(lines)
        for part in line.split(summary.SEPARATOR)
    ]
    for key, part in parts:
        if fault := _fault(part):
            return Judgement(FAIL, f"{key}{fault}")
    seen = {
        name: next((key for key, part in parts if name in part.split("/")[:2]), None)
        for name in ESSENTIAL[mission]
    }
    for name, first in seen.items():
        if first is None:
            return Judgement(FAIL, f"图片_1至{photo_key(len(lines) - 1)}未见{name}")
    return Judgement(PASS, _ground_of_pass(mission, seen, parts))


def _fault(part: str) -> str | None:
    """What is wrong with a part of a line, in words, or None."""
    if part.startswith(summary.REMARK_PREFIX):
        return f"的备注有疑问: {part.removeprefix(summary.REMARK_PREFIX)}"
    path = part.split("/")
    if "不符合要求" in path:
        return f"中{path[1]}不符合要求/{path[-1]}"
    for fault, words in (
        ("分布散乱", "中电线分布散乱"),
        ("无保护措施", "中光纤无保护措施"),
        ("弯曲半径不合理", "中光纤弯曲半径不合理"),
        ("未按要求配备挡风板", "中BBU设备未按要求配备挡风板"),
        ("安装方向错误", "中挡风板安装方向错误"),
    ):
        if fault in path:
            return words
    return None


def _ground_of_pass(mission: str, seen: dict[str, str | None], parts: list[tuple[str, str]]) -> str:
    if mission == INSTALL:
        screws = seen["BBU安装螺丝"]
        return f"{seen['BBU设备']}可见BBU设备，{screws}中BBU安装螺丝符合要求"
    if mission == BAFFLE:
        first = next(part for _, part in parts if part.startswith("BBU设备"))
        state = "无需安装挡风板" if "无需安装" in first else "按要求配备挡风板"
        return f"{seen['BBU设备']}中BBU设备{state}"
    near, far = ESSENTIAL[mission][:2]
    rest = "电线捆扎整齐" if mission == GROUND else "光纤有保护措施且弯曲半径合理"
    return f"{seen[near]}中{near}符合要求，{seen[far]}中{far}符合要求，{rest}"
