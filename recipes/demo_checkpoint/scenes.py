"""What is on a photo, before it is drawn: things, where they lie and what is true of them.

Every thing is drawn larger and more distinctly than on a real photo, and there is one way to say
it, because the model that learns from these photos is three orders of magnitude too small for more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import shapely
from shapely.geometry.base import BaseGeometry

from shenhe.geometry import (
    FRAME,
    Box,
    Line,
    Polygon,
    Shape,
    Size,
    from_pixels,
    round_coordinates,
    scale,
    to_pixels,
)
from shenhe.values import Caption, CaptionObject

CANVAS = Size(320, 256)
STEP = 25
"""Every point lies on a grid of this many thousandths of the photo: where an edge lies is then one
of 40 places and never a matter of half a pixel, which is more than so small a tower can tell."""
NEAR, FAR = 4, 39
"""Where things may lie, in steps: every coordinate of theirs has three digits, 100 to 975, unless
the photo's edge cuts a thing off. A number of another length is what so small a model gets wrong
first."""
GAP = 5.0
TOP_GAP = 2
"""Least difference between the tops of two things, in steps, so that their order is never luck."""

BRANDS = ("华为", "中兴", "爱立信")
FAULTS = {
    "BBU安装螺丝": ("未拧紧", "生锈"),
    "机柜处接地螺丝": ("露铜", "复接"),
    "地排处接地螺丝": ("露铜", "复接"),
    "BBU端光纤插头": ("未拧紧",),
    "ODF端光纤插头": ("未拧紧",),
}
KINDS = ("install", "ground_cabinet", "ground_bar", "fibre_bbu", "fibre_odf", "baffle", "nothing")


@dataclass(frozen=True, slots=True)
class SceneObject:
    """A thing on the canvas. Units: canvas pixels."""

    shape: Shape
    desc: str

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 around the shape."""
        xs = [x for x, _ in self.shape.points]
        ys = [y for _, y in self.shape.points]
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True, slots=True)
class Scene:
    """One photo's content, in reading order, and the seed of its look."""

    kind: str
    things: tuple[SceneObject, ...]
    look: str
    bay: str = ""
    """Around the BBU of a baffle photo: full, or empty (a baffle is needed)."""

    @property
    def descs(self) -> list[str]:
        """The descs in reading order."""
        return [thing.desc for thing in self.things]

    @property
    def objects(self) -> tuple[CaptionObject, ...]:
        """The things as a caption has them, in the 0-1000 frame, rounded."""
        return tuple(
            CaptionObject(round_coordinates(from_pixels(thing.shape, CANVAS)), thing.desc)
            for thing in self.things
        )

    @property
    def caption(self) -> Caption:
        """The caption of the photo alone."""
        return Caption((self.objects,))


def make_scene(kind: str, seed: str, fault_rate: float = 0.3) -> Scene:
    """Make the photo of a kind that belongs to a seed; each part is faulty at `fault_rate`."""
    rng = Random(f"{kind}/{seed}")
    for _ in range(400):
        layout = _Layout(rng, fault_rate)
        if _BUILDERS[kind](layout):
            things = sorted(layout.things, key=lambda thing: (thing.bounds[1], thing.bounds[0]))
            return Scene(kind, tuple(things), look=f"{kind}/{seed}/look", bay=layout.bay)
    raise RuntimeError(f"no layout found for {kind} {seed}")


class _Layout:
    """Things placed one after another so that none hides another."""

    def __init__(self, rng: Random, fault_rate: float) -> None:
        self.rng = rng
        self.fault_rate = fault_rate
        self.things: list[SceneObject] = []
        self.bay = ""
        self._taken: list[BaseGeometry] = []

    def faulty(self) -> bool:
        return self.rng.random() < self.fault_rate

    def add(self, shape: Shape, desc: str, margin: float = 0.0) -> bool:
        """Place a thing, given in steps, if it is clear of all others. Units: margin in pixels."""
        thing = SceneObject(to_pixels(scale(shape, STEP, STEP), CANVAS), desc)
        points = thing.shape.points
        region = (
            shapely.LineString(points).buffer(8)
            if isinstance(shape, Line)
            else shapely.Polygon(points)
        ).buffer(margin)
        top = thing.bounds[1]
        if any(other.distance(region) < GAP for other in self._taken):
            return False
        least = TOP_GAP * STEP * CANVAS.height / FRAME
        if any(abs(other.bounds[1] - top) < least - 0.01 for other in self.things):
            return False
        self.things.append(thing)
        self._taken.append(region)
        return True

    def attempt(self, place: Callable[[], bool], tries: int = 25) -> bool:
        return any(place() for _ in range(tries))

    def box(self, desc: str, widths: tuple[int, int], heights: tuple[int, int]) -> bool:
        """Place a box. Units: steps, both ends included."""

        def place() -> bool:
            w, h = self.rng.randint(*widths), self.rng.randint(*heights)
            x, y = self.rng.randint(NEAR, FAR - w), self.rng.randint(NEAR, FAR - h)
            return self.add(Box(x, y, x + w, y + h), desc)

        return self.attempt(place)

    def part(self, name: str) -> bool:
        """A screw or a plug."""
        state = "符合要求"
        if self.faulty():
            state = f"不符合要求/{self.rng.choice(FAULTS[name])}"
        return self.box(f"螺丝、光纤插头/{name}/显示完整/{state}", (5, 6), (6, 7))

    def label(self) -> bool:
        """A label, tilted one way or the other."""
        desc = "标签/" + self.rng.choice(("4G", "5G", "无法识别"))

        def place() -> bool:
            tilt = self.rng.choice((-1, 1))
            w, h = self.rng.randint(8, 9), self.rng.randint(5, 6)
            rise = tilt * self.rng.randint(2, 3)
            x = self.rng.randint(NEAR + max(0, tilt), FAR - w - max(0, -tilt))
            y = self.rng.randint(NEAR + max(0, -rise), FAR - h - max(0, rise))
            across, down = (w, rise), (-tilt, h)
            corners = ((0, 0), across, (w - tilt, rise + h), down)
            return self.add(Polygon(tuple((x + dx, y + dy) for dx, dy in corners)), desc)

        return self.attempt(place)

    def line(self, desc: str, kinked: bool) -> bool:
        """A fibre or a wire from one side to the other."""

        def place() -> bool:
            x1, x3 = self.rng.randint(NEAR, 11), self.rng.randint(28, FAR)
            y1 = self.rng.randint(NEAR, FAR)
            y3 = y1 + self.rng.randint(-6, 6)
            bend = self.rng.randint(8, 11) if kinked else self.rng.randint(2, 3)
            x2 = (x1 + x3) // 2 + self.rng.randint(-3, 3)
            y2 = (y1 + y3) // 2 + self.rng.choice((-1, 1)) * bend
            if not all(NEAR <= y <= FAR for y in (y2, y3)):
                return False
            return self.add(Line(((x1, y1), (x2, y2), (x3, y3))), desc)

        return self.attempt(place)

    def fibre(self) -> bool:
        guard = self.rng.choice(("有保护措施/蛇形管", "有保护措施/铠装"))
        if self.faulty():
            guard = "无保护措施"
        kinked = self.faulty()
        return self.line(f"光纤/{guard}/弯曲半径{'不合理' if kinked else '合理'}", kinked)

    def wire(self) -> bool:
        return self.line(f"电线/{'分布散乱' if self.faulty() else '捆扎整齐'}", kinked=False)

    def unit(self, brand: str, tail: str, margin: float) -> bool:
        """A BBU; in one photo of five it is cut off by the photo's edge."""
        partial = self.rng.random() < 0.2
        seen = "只显示部分" if partial else "显示完整"
        desc = "/".join(filter(None, ("BBU设备", brand, seen, tail)))

        def place() -> bool:
            w, h = self.rng.randint(16, 22), self.rng.randint(9, 13)
            x, y = self.rng.randint(NEAR, FAR - w), self.rng.randint(NEAR, FAR - h)
            if partial:
                w = self.rng.randint(10, 16)
                x = self.rng.choice((0, FRAME // STEP - w))
            return self.add(Box(x, y, x + w, y + h), desc, margin)

        return self.attempt(place)


def _install(layout: _Layout) -> bool:
    rng = layout.rng
    if rng.random() < 0.88 and not layout.unit(rng.choice(BRANDS), "", 0):
        return False
    screws = rng.choices((0, 1, 2, 3), (1, 4, 4, 2))[0]
    if not layout.things:
        screws = max(1, screws)
    return all(layout.part("BBU安装螺丝") for _ in range(screws)) and _maybe_label(layout, 0.35)


def _connections(layout: _Layout, part: str, line: Callable[[], bool]) -> bool:
    parts = layout.rng.choices((0, 1, 2), (1, 6, 4))[0]
    lines = layout.rng.choices((0, 1, 2), (1, 6, 4))[0] if parts else 1
    placed = all(line() for _ in range(lines)) and all(layout.part(part) for _ in range(parts))
    return placed and _maybe_label(layout, 0.3)


def _baffle(layout: _Layout) -> bool:
    rng = layout.rng
    brand = rng.choice(BRANDS)
    needed = rng.random() < 0.65
    layout.bay = "empty" if needed else "full"
    fitted = needed and not layout.faulty()
    tail = "无需安装"
    if needed:
        tail = f"机柜空间充足需要安装/{'' if fitted else '未'}按要求配备挡风板"
    if not layout.unit(brand, tail, 12):
        return False
    if fitted:
        way = "错误" if layout.faulty() else "正确"
        desc = f"挡风板/{brand}/显示完整/安装方向{way}"
        if not layout.box(desc, (15, 22), (6, 8)):
            return False
    return _maybe_label(layout, 0.35)


def _maybe_label(layout: _Layout, rate: float) -> bool:
    return layout.rng.random() >= rate or layout.label()


_BUILDERS: dict[str, Callable[[_Layout], bool]] = {
    "install": _install,
    "ground_cabinet": lambda layout: _connections(layout, "机柜处接地螺丝", layout.wire),
    "ground_bar": lambda layout: _connections(layout, "地排处接地螺丝", layout.wire),
    "fibre_bbu": lambda layout: _connections(layout, "BBU端光纤插头", layout.fibre),
    "fibre_odf": lambda layout: _connections(layout, "ODF端光纤插头", layout.fibre),
    "baffle": _baffle,
    "nothing": lambda layout: True,
}
