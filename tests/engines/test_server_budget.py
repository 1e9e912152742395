"""Which size of photos a server's checkpoint is given, and who says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import shenhe
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.processor import read_processor
from shenhe.config import load_missions, load_prompts
from shenhe.doctor.served import check_server
from shenhe.doctor.subject import Subject
from shenhe.engines.server import ServerEngine
from shenhe.errors import CheckpointError, EngineError, OptionError, OptionsChangedError
from shenhe.geometry import Size
from shenhe.intake import PhotoLists
from shenhe.messages import Answer, Request
from shenhe.photos import PixelBudget
from shenhe.rows.manifest import read_manifest
from shenhe.runs import RunOptions, run_captions
from shenhe.stages import summary, verdict
from tests.servers.specs import server_engines, server_spec
from tests.servers.starting import Served, scripted

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
DEMO = PixelBudget(4096, 81_920)
Make = Callable[..., ServerEngine]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted() as server:
        yield server


@pytest.fixture
def make() -> Iterator[Make]:
    with server_engines() as make_engine:
        yield make_engine


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "p.png"
    Image.new("RGB", (1600, 1200), "gray").save(path)
    return path


def _line(photo: Path) -> Request:
    return summary.request("k", photo, MISSION, PROMPTS.summary, 64)


def _bounds(engine: ServerEngine) -> PixelBudget:
    assert engine.budget is not None
    return engine.budget.bounds


def _processor(folder: Path, content: object, name: str = "preprocessor_config.json") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"size": {"shortest_edge": 4096, "longest_edge": 81920}}, "preprocessor_config.json"),
        ({"size": {"min_pixels": 4096, "max_pixels": 81920}}, "preprocessor_config.json"),
        # As transformers has it: the older names beside `size` count.
        (
            {"min_pixels": 4096, "max_pixels": 81920, "size": {"shortest_edge": 1}},
            "preprocessor_config.json",
        ),
        (
            {"image_processor": {"size": {"shortest_edge": 4096, "longest_edge": 81920}}},
            "processor_config.json",
        ),
    ],
)
def test_every_form_of_a_processor_is_read(content: object, name: str, tmp_path: Path) -> None:
    assert read_processor(_processor(tmp_path, content, name)) == DEMO


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "gives no size"),
        ({"size": {"shortest_edge": 9, "longest_edge": 8}}, "gives no size: 9 to 8"),
        ({"size": {"shortest_edge": "a", "longest_edge": 8}}, "gives no size"),
        ({"size": {"shortest_edge": 0, "longest_edge": 8}}, "gives no size"),
        ({"size": [1, 2]}, "gives no size"),
        (
            {"size": {"shortest_edge": 1, "longest_edge": 9}, "patch_size": 14},
            "no processor of Qwen3-VL",
        ),
        ([], "not a JSON object"),
    ],
)
def test_a_processor_that_says_nothing_is_refused(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_processor(_processor(tmp_path, content))


def test_a_processor_is_named(make: Make, served: Served, photo: Path, tmp_path: Path) -> None:
    copied = _processor(tmp_path / "其他", json.loads(_demo_file().read_text()))
    for name in ("demo", str(DEMO_FOLDER / "base"), copied):
        engine = make(served.url, processor=name)
        assert engine.budget is not None
        assert (engine.budget.bounds, engine.budget.source) == (DEMO, f"--processor {name}")
    (answer,) = engine.answer([_line(photo)])
    assert isinstance(answer, Answer)
    assert answer.sizes[0].resized_wh == Size(320, 224)
    assert _bounds(make(served.url, processor="demo", max_pixels=2048)) == PixelBudget(2048, 2048)


def _demo_file() -> Path:
    return DEMO_FOLDER / "base" / "preprocessor_config.json"


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "--processor nowhere: no such folder"), ("tests", "neither preprocessor_config")],
)
def test_a_processor_that_is_not_there(name: str, message: str, make: Make) -> None:
    # Before anything is asked of a server, which is not there either.
    with pytest.raises(CheckpointError, match=message):
        make("http://127.0.0.1:9/v1", processor=name)


@pytest.mark.parametrize("engine", ["local", "vllm"])
def test_a_processor_goes_with_a_server(engine: str) -> None:
    with pytest.raises(OptionError, match="--processor: goes with --engine server"):
        shenhe.load("demo", engine=engine, processor="demo")  # type: ignore[arg-type]


def test_a_guess_is_warned_of_once_and_only_where_photos_are_sent(
    make: Make, served: Served, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(served.url)
    assert _bounds(engine) == PixelBudget()
    list(engine.answer([verdict.request("k", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)]))
    assert not caplog.records
    list(engine.answer([_line(photo), _line(photo)]))
    list(engine.stream(_line(photo)))
    (record,) = caplog.records
    assert "plausible and wrong: name the checkpoint's folder by --processor DIR" in record.message
    for options in ({"processor": "demo"}, {"max_pixels": 81_920}):
        list(make(served.url, **options).answer([_line(photo)]))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("key", ["root", "id"])
def test_the_folder_that_a_server_names_tells(key: str, make: Make) -> None:
    folder = str(DEMO_FOLDER / "base")
    with scripted("--entry", json.dumps({key: folder})) as server:
        engine = make(server.url, folder if key == "id" else "scripted")
    assert engine.budget is not None
    assert (engine.budget.bounds, engine.budget.source) == (DEMO, f"{folder}, as the server says")


@pytest.mark.parametrize(
    ("owner", "path"), [("llamacpp", "model.gguf"), ("sglang", ""), ("llamacpp", "x/model.gguf")]
)
def test_a_server_tells_its_folder_elsewhere(
    owner: str, path: str, make: Make, tmp_path: Path
) -> None:
    folder = _processor(tmp_path / "模型", json.loads(_demo_file().read_text()))
    told = {"model_path": str(Path(folder) / path)}
    with scripted("--owner", owner, "--told", json.dumps(told)) as server:
        engine = make(server.url)
    assert _bounds(engine) == (PixelBudget() if "/" in path else DEMO)


@pytest.mark.parametrize(
    "told", [{}, {"model_path": 7}, {"model_path": "model.gguf"}, {"model_path": "/\x00"}, []]
)
def test_a_server_may_tell_nothing_of_use(told: object, make: Make) -> None:
    with scripted("--owner", "llamacpp", "--told", json.dumps(told)) as server:
        assert _bounds(make(server.url)) == PixelBudget()


def test_what_llama_cpp_cannot_take(
    make: Make, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted("--owner", "llamacpp", "--entry", '{"meta": {"n_ctx": 512}}') as server:
        list(make(server.url, processor="demo").answer([_line(photo)]))
        (record,) = caplog.records
        assert "room for 512 tokens a request, and a photo may take 80" in record.message
        assert "--ctx-size" in record.message
    told = '{"modalities": {"vision": false}}'
    with scripted("--owner", "llamacpp", "--told", told) as server:
        engine = make(server.url)
        list(engine.answer([verdict.request("k", {"图片_1": "x"}, MISSION, PROMPTS.verdict, 64)]))
        with pytest.raises(EngineError, match="takes no photos: start it with --mmproj"):
            list(engine.answer([_line(photo)]))


def test_a_manifest_holds_the_budget_and_a_run_goes_on_with_no_other(
    make: Make, served: Served, photo: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "c.jsonl"

    def run(**options: object) -> None:
        lists, engine = PhotoLists([photo]), make(served.url, **options)
        run_captions(engine, lists, PROMPTS.caption, rows, engine_options={}, run=RunOptions())

    run(processor="demo")
    options = read_manifest(rows.with_suffix(".manifest.json")).options
    assert options["pixel_budget"] == [4096, 81920]
    assert options["pixel_budget_from"] == "--processor demo"
    run(processor=str(DEMO_FOLDER / "base"))  # the same, told by another
    with pytest.raises(OptionsChangedError, match=r"pixel_budget was \[4096, 81920\], now \[65536"):
        run()
    # A manifest of an earlier version tells no budget.
    path = rows.with_suffix(".manifest.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["options"]["pixel_budget"], content["options"]["pixel_budget_from"]
    path.write_text(json.dumps(content), encoding="utf-8")
    run()


def test_doctor_says_the_budget_and_who_told_it(served: Served) -> None:
    def told(url: str, **options: object) -> list[tuple[str, str]]:
        spec = server_spec(url, "scripted", **options)
        subject = Subject(spec, PROMPTS, load_missions(), (), 64, load=False)
        return [
            (finding.level, f"{finding.message}|{finding.remedy}")
            for finding in check_server(subject)
            if "photos" in finding.message
        ]

    expected = "photos are resized to 4,096 to 81,920 pixels: --processor demo|"
    assert told(served.url, processor="demo") == [("ok", expected)]
    ((level, line),) = told(served.url)
    assert level == "warning"
    assert "plausible and wrong|name the checkpoint's folder by --processor DIR" in line
    told_elsewhere = '{"modalities": {"vision": false}}'
    with scripted("--owner", "llamacpp", "--told", told_elsewhere) as server:
        ((level, line),) = told(server.url, processor="demo")
    assert (level, line.partition("|")[0]) == ("error", "llama.cpp takes no photos")
