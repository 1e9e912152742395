"""The first phase: the vision tower learns what each image cell shows, where, and in which turn.

Trained end to end from the start, the model learns edges and ignores colour and presence; trained
on cells first, the tower has something to say before the language model begins to listen.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from recipes.demo_checkpoint.photos import GRID, IMAGE_TOKENS, MERGE, PATCH
from recipes.demo_checkpoint.scenes import BRANDS, CANVAS, FAULTS, Scene, SceneObject
from shenhe.geometry import Box, Line

ATTRIBUTES = (
    *("BBU设备", "挡风板", "螺丝、光纤插头", "标签", "光纤", "电线"),
    *BRANDS,
    *FAULTS,
    *("只显示部分", "无需安装", "按要求配备挡风板", "未按要求配备挡风板"),
    *("安装方向正确", "安装方向错误", "符合要求", "未拧紧", "生锈", "露铜", "复接"),
    *("4G", "5G", "无法识别", "蛇形管", "铠装", "无保护措施"),
    *("弯曲半径合理", "弯曲半径不合理", "捆扎整齐", "分布散乱"),
)
TURNS = 8
CELL = PATCH * MERGE


class CellHead(nn.Module):
    """Reads attributes, outline and turn from each merged cell; thrown away afterwards."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attributes = nn.Linear(width, len(ATTRIBUTES))
        self.outline = nn.Linear(width, 8)
        self.turn = nn.Linear(width, TURNS)
        self.hundreds = nn.Linear(width, 8 * 11)
        self.tens = nn.Linear(width, 8 * 10)

    def loss(self, features: torch.Tensor, scenes: list[Scene]) -> dict[str, torch.Tensor]:
        """Compare cells with what is there.

        Shape: features (photos, cells, width).
        """
        shown, outline, turn = _stacked(scenes)
        owned = turn > 0
        points = self.outline(features)
        # What a model writes of a coordinate are digits: let them be there to be read off.
        hundreds, tens = _digits(outline[owned])
        weight = torch.full((len(ATTRIBUTES),), 3.0)
        return {
            "attributes": 2
            * F.binary_cross_entropy_with_logits(
                self.attributes(features), shown, pos_weight=weight
            ),
            "outline": 30 * F.smooth_l1_loss(points[owned], outline[owned], beta=0.01),
            "digits": 0.3
            * (
                F.cross_entropy(self.hundreds(features[owned]).view(-1, 11), hundreds)
                + F.cross_entropy(self.tens(features[owned]).view(-1, 10), tens)
            ),
            "turn": 0.5 * F.cross_entropy(self.turn(features).flatten(0, 1), turn.flatten()),
        }

    @torch.no_grad()
    def accuracy(self, features: torch.Tensor, scenes: list[Scene]) -> dict[str, float]:
        """Measure, over owned cells: recall and precision of each attribute, and of turns."""
        shown, outline, turn = _stacked(scenes)
        guess = self.attributes(features) > 0
        owned = turn > 0
        result = {
            "turn": (self.turn(features).argmax(-1)[owned] == turn[owned]).float().mean().item(),
            "outline": (self.outline(features)[owned] - outline[owned]).abs().mean().item(),
        }
        hundreds, tens = _digits(outline[owned])
        said_hundreds = self.hundreds(features[owned]).view(-1, 11).argmax(-1)
        said_tens = self.tens(features[owned]).view(-1, 10).argmax(-1)
        result["hundreds"] = (said_hundreds == hundreds).float().mean().item()
        result["tens"] = (said_tens == tens).float().mean().item()
        for index, name in enumerate(ATTRIBUTES):
            truth, said = shown[..., index] > 0.5, guess[..., index]
            both = (truth & said).sum().item()
            result[name] = 2 * both / max(1, (truth.sum() + said.sum()).item())
        return result


def _digits(outline: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hundreds and tens of coordinates. Shape: (cells, 8) in 0-1, twice (cells x 8,)."""
    whole = (outline * 1000).round().long().clamp(0, 1000).flatten()
    return whole // 100, whole // 10 % 10


def _stacked(scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The targets of photos, each with the photos as its first dimension."""
    shown, outline, turn = zip(*(_targets(scene) for scene in scenes), strict=True)
    return (
        torch.from_numpy(np.stack(shown)),
        torch.from_numpy(np.stack(outline)),
        torch.from_numpy(np.stack(turn)),
    )


def _targets(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each cell shows. Shape: (cells, attributes), (cells, 8) in 0-1, (cells,) turn or 0."""
    rows, columns = GRID[1] // MERGE, GRID[2] // MERGE
    shown = np.zeros((IMAGE_TOKENS, len(ATTRIBUTES)), np.float32)
    outline = np.zeros((IMAGE_TOKENS, 8), np.float32)
    turn = np.zeros(IMAGE_TOKENS, np.int64)
    best = np.full(IMAGE_TOKENS, 0.1)
    for number, thing in enumerate(scene.things, 1):
        cover = _cover(thing, rows, columns).ravel()
        names = thing.desc.split("/")
        marks = [index for index, name in enumerate(ATTRIBUTES) if name in names]
        for mark in marks:
            shown[cover > 0.1, mark] = 1
        own = cover > best
        best[own] = cover[own]
        turn[own] = min(number, TURNS - 1)
        points = np.array(thing.shape.points, np.float32)[[0, 1, 2, -1]]
        outline[own] = (points / np.array(CANVAS, np.float32)).ravel()
    return shown, outline, turn


def _cover(thing: SceneObject, rows: int, columns: int) -> np.ndarray:
    """The share of each cell that a thing covers; for a line, its length in cells."""
    if isinstance(thing.shape, Line):
        points = np.array(thing.shape.points)
        steps = np.linspace(0, 1, 60)[:, None]
        path = np.concatenate([a + (b - a) * steps for a, b in pairwise(points)])
        cells = np.zeros((rows, columns))
        at = np.clip((path / CELL).astype(int), 0, (columns - 1, rows - 1))
        np.add.at(cells, (at[:, 1], at[:, 0]), 1.0)
        return np.minimum(cells / 12, 1)
    x1, y1, x2, y2 = thing.bounds
    left, top = np.arange(columns) * CELL, np.arange(rows) * CELL
    across = np.clip(np.minimum(x2, left + CELL) - np.maximum(x1, left), 0, CELL) / CELL
    down = np.clip(np.minimum(y2, top + CELL) - np.maximum(y1, top), 0, CELL) / CELL
    shrink = 1.0 if isinstance(thing.shape, Box) else 0.8
    return np.outer(down, across) * shrink
