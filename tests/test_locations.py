"""Photos in a store that is spoken to as S3 is: the same rows as from a folder."""

from __future__ import annotations

import errno
import importlib
import json
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from shenhe import photos
from shenhe.cli.main import main
from shenhe.config import load_missions, load_prompts
from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import IntakeError, PhotoError, UsageError
from shenhe.exports import write_export
from shenhe.exports.labels import LABELS
from shenhe.intake import PhotoLists, PhotoTree, read_annotations
from shenhe.locations import Location, Remote, locate, locate_beside, open_location
from shenhe.report import write_report
from shenhe.runs import RunOptions, VerdictPolicy, find_stage_a, run_summaries, run_verdicts
from tests.conftest import DEMO, MISSION

BUCKET = "inspection"


@pytest.fixture(scope="module")
def store() -> Iterator[Remote]:
    """The bundled photo tree in a bucket, with the objects that mark folders, as consoles do."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        root = DEMO / "photos"
        for path in sorted(root.rglob("*")):
            key = f"photos/{path.relative_to(root).as_posix()}"
            content = b"" if path.is_dir() else path.read_bytes()
            client.put_object(Bucket=BUCKET, Key=key + "/" * path.is_dir(), Body=content)
        yield Remote(f"s3://{BUCKET}/photos")
    server.stop()


def _rows(path: Path, root: Location) -> list[dict[str, Any]]:
    """Read rows without their times and those of their photos, with photos named from the root."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row.pop("timestamp")
        assert row["meta"].pop("inputs_hash")
        row["images"] = [image.removeprefix(str(root)) for image in row["images"]]
        rows.append(row)
    return sorted(rows, key=lambda row: (row["label"] or "", row["group_id"]))


def test_the_same_rows_and_a_report(store: Remote, engine: LocalEngine, tmp_path: Path) -> None:
    missions, prompts = load_missions(), load_prompts()
    mission = missions.get(MISSION)
    rows_by_root = {}
    for name, root in (("here", DEMO / "photos"), ("there", store)):
        stage_a = tmp_path / name / "stage_a"
        run_summaries(
            engine,
            PhotoTree(root),
            mission,
            prompts.summary,
            stage_a,
            engine_options={},
            run=RunOptions(ordered=True),
        )
        rows_by_root[name] = _rows(stage_a / f"{MISSION}.jsonl", root)
    assert rows_by_root["there"] == rows_by_root["here"]
    assert rows_by_root["there"][0]["images"][0].startswith(f"/{MISSION}/")
    (source,) = find_stage_a(tmp_path / "there" / "stage_a", missions)
    run_verdicts(
        engine,
        source,
        prompts.verdict,
        tmp_path / "there" / "stage_b",
        engine_options={},
        run=RunOptions(),
        policy=VerdictPolicy(),
    )
    page = write_report(tmp_path / "there").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == sum(
        len(r["images"]) for r in rows_by_root["there"]
    )


def test_folders_and_lists_of_a_store(store: Remote, tmp_path: Path) -> None:
    local, remote = PhotoLists([DEMO / "photos"]), PhotoLists([store])
    names = [str(photo).removeprefix(str(DEMO / "photos")) for (photo,) in local]
    assert [str(photo).removeprefix(str(store)) for (photo,) in remote] == names
    assert len(names) == len(remote) > 20
    assert remote.passed_over == local.passed_over
    listed = json.dumps({"images": [names[0][1:], f"{store}{names[1]}", "/here.jpg"]})
    key = "photos/list.jsonl"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=listed.encode())
    (items,) = PhotoLists([locate(f"s3://{BUCKET}/{key}")])
    assert items == (
        Remote(f"{store}{names[0]}"),
        Remote(f"{store}{names[1]}"),
        Path("/here.jpg"),
    )
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=key)


def test_exports_of_photos_in_a_store(
    store: Remote, demo_photos: list[Path], tmp_path: Path
) -> None:
    photo = next(path for path in demo_photos if not photos.read_encoding(path).rotated)
    image = f"{store}/{photo.relative_to(DEMO / 'photos').as_posix()}"
    objects = [{"bbox_2d": [10, 20, 300, 400], "desc": "BBU设备/华为"}]
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        json.dumps({"images": [image], "objects": objects, "width": 640, "height": 512}) + "\n",
        encoding="utf-8",
    )
    for format_name in ("label-studio", "labelme", "training"):
        write_export(
            format_name, read_annotations(rows), tmp_path / format_name, LABELS["category"]
        )
    write_export(
        "training", read_annotations(rows), tmp_path / "training.jsonl", LABELS["category"]
    )
    (task,) = json.loads((tmp_path / "label-studio" / "tasks.json").read_text(encoding="utf-8"))
    assert task["data"]["image"] == image
    (copy,) = (tmp_path / "labelme").glob("*.jp*")
    assert copy.read_bytes() == photo.read_bytes()
    (row,) = map(json.loads, (tmp_path / "training.jsonl").read_text("utf-8").splitlines())
    assert row["images"] == [image]
    (row,) = map(json.loads, (tmp_path / "training/train.jsonl").read_text("utf-8").splitlines())
    assert (tmp_path / "training" / row["images"][0]).read_bytes() == photo.read_bytes()


def test_what_cannot_be_reached_is_said(
    store: Remote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IntakeError, match="no such folder"):
        PhotoTree(store / "nothing")
    with pytest.raises(IntakeError, match="no-such-bucket"):
        PhotoTree(locate("s3://no-such-bucket/photos"))
    with pytest.raises(PhotoError, match="no such file") as missing:
        photos.open_upright(store / "gone.jpg")
    assert missing.value.code == "missing"
    with pytest.raises(UsageError, match="tape"):
        locate("tape://archive/photos")
    nobody = "http://127.0.0.1:9/photos"
    arguments = ["run", "--model", "demo", "--data-root", nobody, "--output-dir", str(tmp_path)]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert nobody in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://b/p", "pip install 'shenhe[s3]'"),
        ("s3a://b/p", "pip install 'shenhe[s3]'"),
        ("gs://b/p", "gcsfs"),
        ("abfs://b/p", "adlfs"),
        ("sftp://host/p", "paramiko"),
        ("tape://archive/p", "tape:// is unknown"),
        ("S3://b/p", "S3:// is unknown"),
        ("simplecache::tape://b/p", "is unknown"),
        ("://b/p", "is unknown"),
        ("s3://[b/p", "no URL"),
        ("file://", "names no file"),
        ("file:///a%00b", "names no file"),
        ("a\0b", "zero byte"),
    ],
)
def test_a_url_of_no_use_here_is_told_in_one_line(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As where the extra is not installed; a module that is None cannot be imported.
    for module in ("s3fs", "gcsfs", "adlfs", "paramiko"):
        monkeypatch.setitem(sys.modules, module, None)
    kept: dict[str, type] = {}  # what was imported before is not asked for again
    for name in ("_registry", "registry"):
        monkeypatch.setattr(importlib.import_module("fsspec.registry"), name, kept)
    with pytest.raises(UsageError, match=re.escape(message)):
        locate(url)
    arguments = ["run", "--model", "demo", "--output-dir", "o", f"--data-root={url}"]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("shenhe run: argument --data-root: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "url",
    [
        "hdfs://name-node:8020/photos",  # wants Java
        "dir://x/y",  # a file system over another one, which is not named
        "http://[::1]:99999/p",
        "zip://",
    ],
)
def test_whatever_a_file_system_raises_is_an_error_of_the_system(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=rf"\A\[Errno {errno.EIO}\] .+\Z"), open_location(locate(url)):
        pass


@pytest.mark.parametrize(
    "raised",
    [KeyError("x"), TypeError("two\nlines"), RuntimeError(""), RecursionError(), ValueError("v")],
)
def test_what_a_file_system_should_never_raise(
    raised: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(SystemExit) as left:
        main(["run", "--model", "demo", "--output-dir", "o", "--data-root", "memory://photos"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("shenhe: --data-root memory://photos: ")
    assert error.count("\n") == 1


def test_a_package_that_is_missed_late_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow'")

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(UsageError, match=r"pip install 'shenhe\[parquet\]'"):
        PhotoTree(Remote("hdfs://name-node/photos"))


def test_a_url_has_the_parts_of_a_path() -> None:
    photo = locate("hdfs://name-node:8020/照片/深 1#a.tar.JPG")
    assert isinstance(photo, Remote)
    assert (photo.name, photo.stem, photo.suffix) == ("深 1#a.tar.JPG", "深 1#a.tar", ".JPG")
    assert photo.parent / photo.name == photo
    assert pickle.loads(pickle.dumps(photo)) == photo
    assert locate("file:///a%20b/c.jpg") == Path("/a b/c.jpg")
    assert locate_beside(photo, "s3://b/x.jpg") == Remote("s3://b/x.jpg")
    assert photos.unique_stem(photo) != photos.unique_stem(Remote("s3://b/深 1#a.tar.JPG"))
