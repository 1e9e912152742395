"""Where fuzzing begins: the cases of the tests, the corpus, and words that formats are made of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
FORMATS = HERE.parent / "formats"
DATA = HERE.parent.parent / "src" / "shenhe"
CASES = {
    "caption": [FORMATS / "captions"],
    "lenient_json": [FORMATS / "captions"],
    "boxes": [FORMATS / "captions"],
    "summary": [FORMATS / "summaries"],
    "verdict": [FORMATS / "verdicts"],
    "trained_on": [FORMATS / "summaries", FORMATS / "verdicts"],
    "writing": [FORMATS / "captions", FORMATS / "summaries"],
    "missions": [DATA / "config"],
    "prompts": [DATA / "config"],
    "formats": [DATA / "config"],
    "vocabulary": [DATA / "config"],
}
"""What else a parser may begin with, beside its own corpus."""
FORMATS_READ = [
    *("caption", "lenient_json", "boxes", "summary", "verdict", "trained_on", "evidence"),
    *("writing", "check"),
]
ROWS_READ = ["annotations", "photo_list", "caption_rows", "ledger", "stage_a", "status"]
FILES_READ = ["missions", "prompts", "formats", "vocabulary", "teaching", "trainer_args"]
PARSER_NAMES = FORMATS_READ + ROWS_READ + FILES_READ
LARGEST_SEED = 4096
WORDS = [
    *('"图片_1"', '"图片_2"', '"object_1"', '"object_2"', '"bbox_2d": [', '"quad": [', '"line": ['),
    *(
        '"line_points": 2',
        '"poly_points": 3',
        "<DOMAIN=BBU>, <TASK=DETECTION>\n",
        '"desc": "',
        '"label": "',
        '"poly": [',
        "1, 2, 30, 40",
        "0.5",
        "1e400",
    ),
    *("NaN", "Infinity", "-1", "9" * 20, "\\ud800", "\\u0000", "\x00", "\ud800", "，", "：", "×1"),
    *("<think>", "</think>", "```json\n", "```", "{", "}", "[", "]", "{{", "}}", "[[", '": ', ", "),
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|im_end|>", "(1,2),(30,40)", "通过\n理由: ", "不通过"),
    *("标签/4G-1", "无关图片", "备注: ", "'", '"', "\\", "\n", "\r", "\u2028", "\x85", "\ufeff"),
    *(
        '{"raw": "',
        '"images": ["a.jpg"]',
        '"width": 5',
        "null",
        "true",
        "[[mission]]\n",
        'name = "',
    ),
    *("<DOMAIN=BBU>, <TASK=SUMMARY>\n", "Verdict: 通过\nReason: ", '"统计": ['),
    *('"""', "'''", "file:///", "s3://", "http://", "%00", "../", "image", "group_id", "mission"),
]


def seeds(name: str) -> list[Path]:
    """List the files that fuzzing of a parser begins with."""
    folders = [HERE / "corpus" / name, *CASES.get(name, [])]
    suffixes = (".txt", ".jsonl", ".json", ".toml")
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*") if folder.is_dir() else [])
        if path.suffix in suffixes
        and path.stat().st_size <= LARGEST_SEED
        and (path.parent != FORMATS or path.suffix == ".txt")
        and not (FORMATS in path.parents and path.suffix == ".json")
    ]


def seed_folder(name: str, folder: Path) -> Path:
    """Copy the seeds of a parser into one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(seeds(name)):
        (folder / f"{number:03}-{path.name}").write_bytes(path.read_bytes())
    return folder


def mutated(name: str, seed: int, count: int) -> Iterator[bytes]:
    """Yield seeds with pieces taken out, doubled, swapped for bytes or words, or cut."""
    rng = random.Random(f"{name} {seed}")
    texts = [path.read_bytes() for path in seeds(name)] or [b""]
    words = [word.encode("utf-8", "surrogatepass") for word in WORDS]
    for _ in range(count):
        data = rng.choice(texts)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data) + 1)
            until = min(len(data), at + rng.choice((0, 1, 2, 8, 64)))
            piece = rng.choice(
                (b"", rng.choice(words), rng.randbytes(rng.randint(1, 3)), data[at:until] * 2)
            )
            data = data[:at] + piece + data[until:]
        yield data[: rng.choice((len(data), len(data), rng.randrange(len(data) + 1)))]
