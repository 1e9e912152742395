"""Draw a scene as a photo."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recipes.demo_checkpoint.scenes import BRANDS, CANVAS, Scene, SceneObject
from shenhe.geometry import Box, Line, Point, Polygon

SCALE = 2
"""Photos are drawn this much larger than the canvas, and seen by the model at its size."""

Colour = tuple[int, int, int]
BODY: dict[str, Colour] = {
    "华为": (58, 60, 68),
    "中兴": (64, 112, 200),
    "爱立信": (232, 224, 200),
}
LOGO: dict[str, Colour] = {"华为": (220, 30, 40), "中兴": (250, 250, 255), "爱立信": (20, 30, 90)}


def draw(scene: Scene) -> Image.Image:
    """Draw a scene. Units: RGB, SCALE times the canvas."""
    rng = Random(scene.look)
    photo = _background(scene, rng)
    pen = _Pen(photo, rng)
    for thing in scene.things:
        if thing.desc.startswith("BBU设备") and scene.bay:
            pen.bay(thing.shape, scene.bay)
    for thing in scene.things:
        pen.thing(thing)
    return _exposed(photo, rng)


def _background(scene: Scene, rng: Random) -> Image.Image:
    width, height = CANVAS.width * SCALE, CANVAS.height * SCALE
    if scene.kind == "nothing":
        return _elsewhere(width, height, rng)
    grey = rng.randint(120, 165)
    photo = Image.new("RGB", (width, height), (grey, grey + rng.randint(0, 6), grey + 8))
    pen = ImageDraw.Draw(photo)
    for _ in range(rng.randint(3, 7)):
        x, y = rng.randint(0, width), rng.randint(0, height)
        shade = grey + rng.randint(-16, 16)
        size = (rng.randint(60, 300), rng.randint(20, 200))
        pen.rectangle((x, y, x + size[0], y + size[1]), fill=(shade, shade, shade + 6))
    for x in (rng.randint(4, 20), width - rng.randint(4, 20)):
        pen.line((x, 0, x, height), fill=(grey - 30,) * 3, width=5)
    return photo


def _elsewhere(width: int, height: int, rng: Random) -> Image.Image:
    """A photo that has nothing to do with the job: outdoors, a wall, an empty cabinet."""
    look = rng.choice(("outdoors", "wall", "cabinet"))
    if look == "outdoors":
        photo = Image.new("RGB", (width, height), (140, 190, rng.randint(220, 250)))
        pen = ImageDraw.Draw(photo)
        horizon = rng.randint(height // 3, 2 * height // 3)
        pen.rectangle((0, horizon, width, height), fill=(70, rng.randint(110, 150), 60))
        for _ in range(rng.randint(1, 3)):
            x, w = rng.randint(0, width), rng.randint(60, 140)
            top = horizon - rng.randint(60, 150)
            pen.rectangle((x, top, x + w, horizon), fill=(rng.randint(120, 170), 120, 110))
        return photo
    if look == "wall":
        photo = Image.new("RGB", (width, height), (170, 95, 75))
        pen = ImageDraw.Draw(photo)
        step = rng.randint(36, 56)
        for row, y in enumerate(range(0, height, step)):
            pen.line((0, y, width, y), fill=(205, 190, 180), width=4)
            for x in range((row % 2) * step, width, 2 * step):
                pen.line((x, y, x, y + step), fill=(205, 190, 180), width=4)
        return photo
    empty = Scene("cabinet", (), look="")
    return _background(empty, rng)


def _exposed(photo: Image.Image, rng: Random) -> Image.Image:
    """Sensor noise, exposure and a slope of light."""
    pixels = np.asarray(photo, dtype=np.float32)
    noise = np.random.default_rng(rng.getrandbits(32))
    height, width = pixels.shape[:2]
    slope = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] * rng.uniform(-10, 10)
    pixels = pixels * rng.uniform(0.88, 1.08) + slope
    pixels += noise.normal(0, 4, (height, width, 1)).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


class _Pen:
    """Draws things in canvas units on a photo of SCALE times that."""

    def __init__(self, photo: Image.Image, rng: Random) -> None:
        self.photo = photo
        self.rng = rng
        self.ink = ImageDraw.Draw(photo)

    def thing(self, thing: SceneObject) -> None:
        shape, desc = thing.shape, thing.desc
        if isinstance(shape, Polygon):
            self.label(shape, desc)
        elif isinstance(shape, Line):
            self.wire(shape, desc) if desc.startswith("电线") else self.fibre(shape, desc)
        elif desc.startswith("BBU设备"):
            self.unit(shape, desc)
        elif desc.startswith("挡风板"):
            self.baffle(shape, desc)
        elif "插头" in desc.split("/")[1]:
            self.plug(shape, desc)
        else:
            self.screw(shape, desc)

    # --- drawing in canvas units ---

    def rect(self, x1: float, y1: float, x2: float, y2: float, fill: Colour) -> None:
        box = tuple(round(v * SCALE) for v in (x1, y1, x2, y2))
        self.ink.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=fill)

    def disc(self, cx: float, cy: float, r: float, fill: Colour) -> None:
        box = tuple(round(v * SCALE) for v in (cx - r, cy - r, cx + r, cy + r))
        self.ink.ellipse(box, fill=fill)

    def stroke(self, points: list[Point], fill: Colour, width: float) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.ink.line(scaled, fill=fill, width=round(width * SCALE), joint="curve")

    def tinted(self, colour: Colour, spread: int = 8) -> Colour:
        shift = self.rng.randint(-spread, spread)
        red, green, blue = (min(255, max(0, part + shift)) for part in colour)
        return red, green, blue

    # --- things ---

    def bay(self, shape: object, bay: str) -> None:
        """What lies around a BBU: an empty, dark bay with orange rails, or blind panels."""
        assert isinstance(shape, Box)
        x1, y1, x2, y2 = shape.x1 - 12, shape.y1 - 12, shape.x2 + 12, shape.y2 + 12
        if bay == "empty":
            self.rect(x1, y1, x2, y2, (12, 12, 16))
            self.rect(x1, y1, x2, y1 + 4, (240, 130, 20))
            self.rect(x1, y2 - 4, x2, y2, (240, 130, 20))
        else:
            self.rect(x1, y1, x2, y2, (214, 218, 222))
            for y in np.arange(y1 + 3, y2, 6):
                self.rect(x1, y, x2, y + 1, (150, 155, 160))

    def unit(self, box: Box, desc: str) -> None:
        brand = desc.split("/")[1]
        x1, y1, x2, y2 = box.x1, box.y1, box.x2, box.y2
        self.rect(x1, y1, x2, y2, (20, 20, 24))
        self.rect(x1 + 1, y1 + 1, x2 - 1, y2 - 1, self.tinted(BODY[brand]))
        for edge, inner in ((x1, x1 + 3), (x2, x2 - 9)):
            if 0 < edge < CANVAS.width:  # a handle on every end that is on the photo
                self.rect(inner, y1 + 8, inner + 6, y2 - 8, (170, 172, 178))
        cx = (x1 + x2) / 2
        self.rect(cx - 12, y1 + 5, cx + 12, y1 + 17, LOGO[brand])
        for slot in np.linspace(y1 + 22, y2 - 14, 3):
            self.rect(x1 + 14, slot, x2 - 14, slot + 6, (35, 36, 40))
            for x in np.arange(x1 + 18, x2 - 18, 14):
                self.rect(x, slot + 1, x + 6, slot + 5, (120, 124, 130))
            self.disc(x2 - 18, slot + 3, 2, (60, 230, 90))

    def baffle(self, box: Box, desc: str) -> None:
        x1, y1, x2, y2 = box.x1, box.y1, box.x2, box.y2
        right = desc.endswith("正确")
        body: Colour = (40, 150, 140) if right else (140, 70, 160)
        self.rect(x1, y1, x2, y2, (16, 40, 40))
        self.rect(x1 + 1, y1 + 1, x2 - 1, y2 - 1, self.tinted(body))
        pale: Colour = (235, 240, 240)
        if right:
            for y in np.arange(y1 + 8, y2 - 6, 8):
                self.rect(x1 + 26, y, x2 - 8, y + 3, pale)
        else:
            for x in np.arange(x1 + 28, x2 - 8, 12):
                self.rect(x, y1 + 6, x + 4, y2 - 6, pale)
        brand = desc.split("/")[1]
        self.rect(x1 + 4, y1 + 6, x1 + 20, y2 - 6, BODY[brand])
        self.rect(x1 + 7, y1 + 12, x1 + 17, y2 - 12, LOGO[brand])

    def screw(self, box: Box, desc: str) -> None:
        _, where, _, state = desc.split("/", 3)
        plate: dict[str, Colour] = {
            "BBU安装螺丝": (96, 100, 108),
            "机柜处接地螺丝": (30, 140, 60),
            "地排处接地螺丝": (196, 110, 60),
        }
        self.rect(box.x1, box.y1, box.x2, box.y2, (20, 20, 20))
        self.rect(box.x1 + 1, box.y1 + 1, box.x2 - 1, box.y2 - 1, self.tinted(plate[where]))
        cx, cy = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        r = (box.x2 - box.x1) * 0.36
        if "复接" in state:  # two lugs on one screw
            self.rect(box.x1 + 3, cy - 14, box.x2 - 3, cy - 4, (30, 60, 220))
            self.rect(box.x1 + 3, cy + 4, box.x2 - 3, cy + 14, (30, 60, 220))
            self.disc(cx, cy, r * 0.55, (205, 208, 212))
            return
        if "露铜" in state:  # bare strands beside the lug
            for offset in (-9.0, -3.0, 3.0, 9.0):
                points = [(box.x1 + 2, cy + offset), (box.x2 - 2, cy + offset)]
                self.stroke(points, (255, 220, 70), 3.5)
            self.disc(cx, cy, r * 0.6, (205, 208, 212))
            return
        if "未拧紧" in state:  # the thread shows
            self.stroke([(box.x1 + 5, box.y2 - 5), (cx, cy)], (250, 215, 40), 12)
            self.disc(cx + 6, cy - 6, r * 0.75, (215, 218, 222))
            return
        rusty = "生锈" in state
        self.disc(cx, cy, r, (150, 70, 25) if rusty else (218, 222, 226))
        if rusty:
            for _ in range(5):
                dx, dy = self.rng.uniform(-9, 9), self.rng.uniform(-9, 9)
                self.disc(cx + dx, cy + dy, 3.5, (95, 40, 15))
        cross: Colour = (70, 30, 10) if rusty else (60, 62, 66)
        self.rect(cx - r * 0.6, cy - 2, cx + r * 0.6, cy + 2, cross)
        self.rect(cx - 2, cy - r * 0.6, cx + 2, cy + r * 0.6, cross)

    def plug(self, box: Box, desc: str) -> None:
        at_unit = "BBU端" in desc
        port: Colour = (26, 28, 34) if at_unit else (236, 238, 240)
        body: Colour = (20, 90, 235) if at_unit else (20, 170, 70)
        self.rect(box.x1, box.y1, box.x2, box.y2, (70, 70, 70))
        self.rect(box.x1 + 1, box.y1 + 1, box.x2 - 1, box.y2 - 1, port)
        width, height = box.x2 - box.x1, box.y2 - box.y1
        x1, x2 = box.x1 + width * 0.2, box.x2 - width * 0.2
        if desc.endswith("/符合要求"):
            self.rect(x1, box.y1 + 5, x2, box.y2 - 5, self.tinted(body))
            self.rect(x1 + 8, box.y1 + 9, x2 - 8, box.y1 + 17, (245, 245, 245))
        else:  # half out: a red gap between port and plug
            self.rect(x1, box.y1 + height * 0.62, x2, box.y2 - 2, self.tinted(body))
            self.rect(x1, box.y1 + 4, x2, box.y1 + height * 0.55, (235, 40, 40))

    def label(self, quad: Polygon, desc: str) -> None:
        (ax, ay), (bx, by), (_, _), (dx, dy) = quad.points
        width, height = math.dist((ax, ay), (bx, by)), math.dist((ax, ay), (dx, dy))
        size = (round(width * SCALE), round(height * SCALE))
        text = desc.split("/")[1]
        paper: Colour = {"4G": (250, 250, 250), "5G": (250, 225, 60)}.get(text, (205, 190, 205))
        tag = Image.new("RGB", size, paper)
        ink = ImageDraw.Draw(tag)
        ink.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(20, 20, 20), width=3)
        if text == "无法识别":
            for y in range(14, size[1] - 10, 14):
                points = [(x, y + self.rng.randint(-4, 4)) for x in range(12, size[0] - 8, 12)]
                ink.line(points, fill=(120, 105, 120), width=4)
        else:
            font = ImageFont.load_default(size[1] * 0.78)
            ink.text((size[0] / 2, size[1] / 2), text, fill=(10, 10, 10), font=font, anchor="mm")
        self.paste(tag, quad)

    def paste(self, tag: Image.Image, quad: Polygon) -> None:
        """Lay a rectangular image onto a parallelogram."""
        corners = np.array(quad.points) * SCALE
        origin = np.floor(corners.min(0))
        width, height = np.ceil(corners.max(0) - origin).astype(int).tolist()
        sides = np.stack(
            [(corners[1] - corners[0]) / tag.width, (corners[3] - corners[0]) / tag.height], axis=1
        )
        back = np.linalg.inv(sides)
        shift = back @ (origin - corners[0])
        rows = [[*line, offset] for line, offset in zip(back.tolist(), shift.tolist(), strict=True)]
        data = (*rows[0], *rows[1])
        full = Image.new("L", tag.size, 255)
        laid, mask = (
            image.transform((width, height), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
            for image in (tag, full)
        )
        self.photo.paste(laid, (int(origin[0]), int(origin[1])), mask)

    def fibre(self, line: Line, desc: str) -> None:
        path = list(line.points) if desc.endswith("不合理") else _curve(line)
        if "蛇形管" in desc:
            self.stroke(path, (25, 25, 28), 13)
            for x, y in _along(path, 9):
                self.disc(x, y, 3, (225, 225, 225))
        elif "铠装" in desc:
            self.stroke(path, (60, 90, 130), 13)
            self.stroke(path, (190, 215, 240), 7)
        else:
            self.stroke(path, (120, 80, 0), 8)
            self.stroke(path, (255, 200, 0), 6)

    def wire(self, line: Line, desc: str) -> None:
        path = _curve(line)
        if desc.endswith("整齐"):
            self.stroke(path, (20, 110, 40), 12)
            self.stroke(path, (180, 220, 40), 5)
            for x, y in _along(path, 34):
                self.rect(x - 3, y - 8, x + 3, y + 8, (250, 250, 250))
            return
        strands: tuple[Colour, ...] = ((220, 40, 40), (30, 30, 30), (230, 120, 200))
        for strand, colour in enumerate(strands):
            phase = self.rng.uniform(0, 6.28)
            points = [
                (x, y + 10 * math.sin(x / 11 + phase + 2.1 * strand)) for x, y in _along(path, 3)
            ]
            self.stroke(points, colour, 4)


def _curve(line: Line) -> list[Point]:
    """The smooth curve through three points."""
    (x1, y1), (x2, y2), (x3, y3) = line.points
    # The control point of the quadratic Bezier curve that passes the middle point halfway.
    cx, cy = 2 * x2 - (x1 + x3) / 2, 2 * y2 - (y1 + y3) / 2
    return [
        (
            (1 - t) ** 2 * x1 + 2 * t * (1 - t) * cx + t * t * x3,
            (1 - t) ** 2 * y1 + 2 * t * (1 - t) * cy + t * t * y3,
        )
        for t in np.linspace(0, 1, 40).tolist()
    ]


def _along(path: list[Point], step: float) -> list[Point]:
    """Points at equal distances along a path."""
    found = [path[0]]
    rest = step
    for (x1, y1), (x2, y2) in pairwise(path):
        length = math.dist((x1, y1), (x2, y2))
        at = rest
        while at <= length:
            found.append((x1 + (x2 - x1) * at / length, y1 + (y2 - y1) * at / length))
            at += step
        rest = at - length
    return found


assert set(BODY) == set(BRANDS)
