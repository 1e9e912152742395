"""Clients of the acceptance run: each posts groups, some of them badly, until they are accepted.

They speak HTTP through plain sockets: libraries send no body that stops in the middle.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

MISSION = "挡风板安装检查"
FAULTS = (
    "cut upload",
    "sent again",
    "sent twice at once",
    "unreadable photo",
    "slow body",
    "other photos",
)
"""What goes wrong with a group; the last is a second version, handed in when the first is in."""
AGAIN = (429, 503)
BOUNDARY = "photos-of-a-group"
SLOW_SECONDS = 4.0
TRIES = 2000


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    retry_after: float


@dataclass(slots=True)
class Accepted:
    """A version of a group that the service has said it has: the photos are those of `contents`."""

    group_id: str
    fault: str
    contents: str
    ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Scene:
    """What the clients were told, and how it went."""

    addresses: Sequence[str]
    accepted: dict[tuple[str, str], Accepted] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, group_id: str, fault: str, contents: str, answer: Answer) -> None:
        key = (group_id, contents)
        accepted = self.accepted.setdefault(key, Accepted(group_id, fault, contents))
        accepted.ids.add(str(answer.body["id"]))


def make_photo(text: str, number: int) -> bytes:
    """Render a small photo that is like no other one, as a file and to look at."""
    digest = hashlib.sha256(f"{text}/{number}".encode()).digest()
    image = Image.new("RGB", (224, 168), tuple(64 + value // 2 for value in digest[:3]))
    draw = ImageDraw.Draw(image)
    for corner in range(4):
        x, y, width, height = digest[4 + 4 * corner : 8 + 4 * corner]
        box = (x % 160, y % 120, x % 160 + 20 + width % 60, y % 120 + 20 + height % 40)
        draw.rectangle(box, fill=tuple(digest[20 + corner : 23 + corner]), outline="black")
    draw.text((8, 8), text, fill="white")
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def make_body(group_id: str, photos: Sequence[bytes]) -> bytes:
    """Write a group as a multipart body."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (("mission", MISSION), ("group_id", group_id), ("lane", "bulk"))
    ]
    for number, photo in enumerate(photos, 1):
        head = f'Content-Disposition: form-data; name="photos"; filename="现场-{number}.jpg"'
        kind = "Content-Type: image/jpeg"
        parts.append(f"--{BOUNDARY}\r\n{head}\r\n{kind}\r\n\r\n".encode() + photo + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def post(address: str, body: bytes, *, share: float = 1.0, seconds: float = 0.0) -> Answer:
    """Post a share of a body, in so many seconds; one that is cut short has no answer.

    Raises: OSError or EOFError where the connection breaks.
    """
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 10)
    try:
        head = (
            f"POST /v1/groups HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode())
        sent = body[: int(share * len(body))]
        steps = 8 if seconds else 1
        size = -(-len(sent) // steps)
        for start in range(0, len(sent), size):
            writer.write(sent[start : start + size])
            await writer.drain()
            await asyncio.sleep(seconds / steps)
        if share < 1:
            return Answer(0, {}, 0)
        return await asyncio.wait_for(_read_answer(reader), 90)
    finally:
        writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.splitlines()
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    retry = float(headers.get("retry-after", 1))
    return Answer(int(status.split()[1]), json.loads(content) if content else {}, retry)


class Client:
    """Hands in one group after the other, as a work-order system does that never gives up."""

    def __init__(self, scene: Scene, number: int) -> None:
        self._scene, self._random = scene, random.Random(number)

    async def hand_in(self, group_id: str, fault: str) -> None:
        """Hand in a group, with a fault or none."""
        count = self._random.choice((1, 1, 2, 2, 3))
        photos = [make_photo(group_id, number) for number in range(count)]
        if fault == "unreadable photo":
            photos[-1] = photos[-1][: len(photos[-1]) // 3]
        body = make_body(group_id, photos)
        if fault == "cut upload":
            await self._cut(body)
        seconds = SLOW_SECONDS if fault == "slow body" else 0.0
        if fault == "sent twice at once":
            await asyncio.gather(*(self._until_accepted(group_id, fault, body) for _ in range(2)))
        else:
            await self._until_accepted(group_id, fault, body, seconds)
        if fault == "sent again":
            await self._until_accepted(group_id, fault, body)
        if fault == "other photos":
            others = make_body(group_id, [*photos, make_photo(group_id, 9)])
            await self._until_accepted(group_id, fault, others)

    async def _cut(self, body: bytes) -> None:
        try:
            share = self._random.uniform(0.05, 0.95)
            await post(self._random.choice(self._scene.addresses), body, share=share)
        except (OSError, EOFError, TimeoutError):
            self._scene.broken += 1

    async def _until_accepted(
        self, group_id: str, fault: str, body: bytes, seconds: float = 0.0
    ) -> None:
        contents = hashlib.sha256(body).hexdigest()
        for _ in range(TRIES):
            began = time.perf_counter()
            try:
                answer = await post(
                    self._random.choice(self._scene.addresses), body, seconds=seconds
                )
            except (OSError, EOFError, TimeoutError):
                self._scene.broken += 1  # killed, or not there yet
                await asyncio.sleep(0.5)
                continue
            self._scene.statuses[answer.status] += 1
            if answer.status in (200, 202):
                self._scene.note(group_id, fault, contents, answer)
                self._scene.seconds.append(time.perf_counter() - began - seconds)
                return
            if answer.status not in AGAIN:
                self._scene.problems.append(f"{group_id}: {answer.status} {answer.body}")
                return
            await asyncio.sleep(min(answer.retry_after, 3) * self._random.uniform(0.5, 1.5))
        self._scene.problems.append(f"{group_id}: never accepted")


def plan_faults(groups: int, share: float) -> list[str]:
    """Say which fault each group has, if any; each kind about as often."""
    chosen = random.Random(7)
    return [chosen.choice(FAULTS) if chosen.random() < share else "" for _ in range(groups)]


async def post_all(scene: Scene, faults: Sequence[str], clients: int) -> None:
    """Have so many clients hand in all groups."""
    groups = iter([(f"QC-20261126-{n:07}", fault) for n, fault in enumerate(faults, 1)])

    async def work(number: int) -> None:
        client = Client(scene, number)
        for group_id, fault in groups:
            await client.hand_in(group_id, fault)

    await asyncio.gather(*(work(number) for number in range(clients)))
