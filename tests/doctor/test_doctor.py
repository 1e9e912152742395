"""Every check of the doctor reports its problem and a remedy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints.merge import merge_adapters
from shenhe.config import load_missions, load_prompts
from shenhe.doctor import Diagnosis, Subject, diagnose
from shenhe.doctor import versions as version_checks
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import LocalOptions, OpenvinoOptions
from tests.conftest import DEMO, MISSION
from tests.servers.starting import scripted
from tests.warm import SHENHE

ADAPTER = DEMO / "checkpoint" / "adapter"
BASE = DEMO / "checkpoint" / "base"


@pytest.fixture
def subject(demo_photos: list[Path]) -> Subject:
    spec = EngineSpec(model="demo", adapters=("demo",), engine=LocalOptions(dtype="float32"))
    return Subject(spec, load_prompts(), load_missions(), tuple(demo_photos[:2]), 400, load=False)


def _diagnoses(subject: Subject, check: str) -> list[Diagnosis]:
    return [diagnosis for diagnosis in diagnose(subject) if diagnosis.check == check]


def _messages(subject: Subject, check: str, level: str) -> str:
    diagnoses = _diagnoses(subject, check)
    findings = [each.finding for each in diagnoses if each.finding.level == level]
    assert findings, diagnoses
    return " ".join(f"{finding.message} -> {finding.remedy}" for finding in findings)


def test_an_intact_checkpoint_has_no_errors(subject: Subject) -> None:
    diagnoses = list(diagnose(replace(subject, load=True)))
    assert not [each for each in diagnoses if each.finding.level == "error"]
    messages = " ".join(each.finding.message for each in diagnoses)
    assert "2 captions of 2 have geometry" in messages
    assert "2 Stage-A lines of 2 can be read" in messages
    assert "with the adapters merged" in messages


def test_an_adapter_that_changes_nothing(subject: Subject, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ADAPTER, tmp_path / "zero"))
    weights = load_file(folder / "adapter_model.safetensors")
    zero = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    save_file(zero, folder / "adapter_model.safetensors")
    changed = replace(subject, spec=replace(subject.spec, adapters=(str(folder),)))
    assert "all its weights are zero" in _messages(changed, "adapters", "warning")


def test_an_adapter_of_another_base(subject: Subject, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ADAPTER, tmp_path / "adapter"))
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "/models/another"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    changed = replace(subject, spec=replace(subject.spec, adapters=(str(folder),)))
    assert "records /models/another" in _messages(changed, "adapters", "warning")


def test_a_stale_merge(subject: Subject, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(ADAPTER, tmp_path / "adapter"))
    merge_adapters("demo", [str(adapter)], tmp_path / "merged")
    spec = EngineSpec(model=str(tmp_path / "merged"), engine=LocalOptions())
    merged = replace(subject, spec=spec)
    assert not [each for each in _diagnoses(merged, "files") if each.finding.level == "error"]
    path = adapter / "adapter_model.safetensors"
    save_file({name: weight + 1 for name, weight in load_file(path).items()}, path)
    assert "stale" in _messages(merged, "files", "error")


@pytest.mark.parametrize(("system", "level"), [("你是另一位质检员。", "warning"), (None, "ok")])
def test_the_prompt_of_training(
    subject: Subject, tmp_path: Path, system: str | None, level: str
) -> None:
    folder = Path(shutil.copytree(ADAPTER, tmp_path / "adapter"))
    trained = system or subject.prompts.summary.system
    (folder / "args.json").write_text(json.dumps({"system": trained}), encoding="utf-8")
    spec = replace(subject.spec, adapters=(str(folder),))
    messages = _messages(replace(subject, spec=spec), "prompt", level)
    assert ("--prompts" if system else "summary") in messages


@pytest.mark.parametrize(
    ("trained", "here", "told"),
    [
        (250_000, None, True),
        (250_000, 250_000, False),
        (250_000, 500_000, True),
        (None, 500_000, False),
        ("many", 500_000, False),
    ],
)
def test_photos_of_another_size_than_in_training(
    subject: Subject, tmp_path: Path, trained: object, here: int | None, told: bool
) -> None:
    folder = Path(shutil.copytree(ADAPTER, tmp_path / "adapter"))
    args = {"system": subject.prompts.summary.system, "max_pixels": trained}
    (folder / "args.json").write_text(json.dumps(args), encoding="utf-8")
    spec = replace(subject.spec, adapters=(str(folder),), max_pixels=here)
    findings = [each.finding for each in _diagnoses(replace(subject, spec=spec), "prompt")]
    warnings = [finding for finding in findings if finding.level == "warning"]
    assert len(warnings) == told
    for finding in warnings:
        assert "trained on photos of up to 250,000 pixels" in finding.message
        assert finding.remedy == "--max-pixels 250000"


def test_a_checkpoint_without_geometry(subject: Subject) -> None:
    # Asked for captions by the prompt of Stage-A, the model writes lines, as each trained on
    # summaries alone does.
    template = subject.prompts.summary
    user = template.user.replace("{mission}", MISSION).replace("{focus}", "BBU设备、挡风板")
    caption = template.model_copy(update={"user": user})
    prompts = subject.prompts.model_copy(update={"caption": caption})
    messages = _messages(replace(subject, prompts=prompts, load=True), "answers", "warning")
    assert "no geometry" in messages
    assert "summaries only" in messages


def test_a_photo_that_cannot_be_asked_about(subject: Subject, tmp_path: Path) -> None:
    photo = tmp_path / "1.jpg"
    photo.write_bytes(b"no photo")
    asked = replace(subject, photos=(photo, *subject.photos), load=True)
    assert f"caption of {photo}: " in _messages(asked, "answers", "error")
    told = _messages(asked, "answers", "ok")
    assert "2 captions of 2" in told
    assert "ms a token" not in told


def test_a_token_limit_that_cuts_answers(subject: Subject) -> None:
    messages = _messages(replace(subject, max_new_tokens=10, load=True), "answers", "warning")
    assert "it cut 4" in messages
    assert "--max-new-tokens" in messages


def test_the_share_of_cut_answers_in_a_run(subject: Subject, tmp_path: Path) -> None:
    command = [*SHENHE, "summarize", "--model", "demo", "--adapters", "demo", "--mission", MISSION]
    command += ["--data-root", str(DEMO / "photos"), "--output-dir", str(tmp_path / "stage_a")]
    command += ["--max-new-tokens", "8", "--limit", "3", "--max-attempts", "1"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    messages = _messages(replace(subject, run_dir=tmp_path), "run", "warning")
    assert "cut at the token limit (" in messages
    (tmp_path / "empty").mkdir()
    assert "no rows" in _messages(replace(subject, run_dir=tmp_path / "empty"), "run", "error")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"raw": "Verdict: 不通过\nReason: Image1: 缺少"}, "domain"),
        ({"per_image": {"图片_1": '{"图片_1": "螺丝×1"}'}}, "keyed"),
    ],
)
def test_rows_of_other_tools_tell_their_format(
    subject: Subject, tmp_path: Path, row: dict[str, object], name: str
) -> None:
    rows = [json.dumps({"group_id": f"QC-{number}"} | row) for number in range(3)]
    (tmp_path / f"{MISSION}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    said = _messages(replace(subject, run_dir=tmp_path), "run", "warning")
    assert f"3 of 3 answers are of the format {name}: --formats {name}" in said


def test_photos_that_cannot_be_opened(subject: Subject, tree: Path) -> None:
    group = next(iter(sorted(tree.rglob("QC-*"))))
    (group / "empty.jpg").touch()
    (group / "text.png").write_text("no photo")
    (group / "gone.jpg").symlink_to(tree / "nowhere.jpg")
    (tree / "别的检查").mkdir()
    with_photos = replace(subject, data_root=tree)
    messages = _messages(with_photos, "photos", "error")
    for code in ("empty: ", "not_a_photo: ", "missing: ", "truncated: "):
        assert code in messages
    assert "别的检查" in _messages(with_photos, "photos", "warning")
    messages = _messages(with_photos, "photos", "ok")
    assert "looked at all" in messages
    assert "1 are HEIC" in messages
    assert "stored turned" in messages
    assert "5 of " in _messages(replace(with_photos, max_photos=5), "photos", "ok")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_photo_without_permission(subject: Subject, tree: Path) -> None:
    photo = next(iter(sorted(tree.rglob("img-*"))))
    photo.chmod(0)
    assert "unreadable: " in _messages(replace(subject, data_root=tree), "photos", "error")


def _with_options(subject: Subject, options: LocalOptions) -> EngineSpec[LocalOptions]:
    return replace(subject.local, engine=options)


def test_attention_that_is_not_installed(subject: Subject) -> None:
    spec = _with_options(subject, LocalOptions(attn_impl="flash_attention_2"))
    assert "not installed" in _messages(replace(subject, spec=spec), "attention", "error")
    spec = _with_options(subject, LocalOptions(attn_impl="eager"))
    assert "--attn-impl sdpa" in _messages(replace(subject, spec=spec), "attention", "warning")


def test_half_precision_on_a_cpu(subject: Subject) -> None:
    spec = _with_options(subject, LocalOptions(dtype="float16", device="cpu"))
    assert "bfloat16" in _messages(replace(subject, spec=spec), "device", "warning")


def test_versions_outside_the_requirements(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_checks, "requires", lambda name: ["torch>=99", "nowhere>=1"])
    messages = _messages(subject, "versions", "error")
    assert "pip install 'torch>=99'" in messages
    assert "nowhere is not installed" in messages
    defect = version_checks.KnownDefect("pillow", ">=1", "is bad", "take another")
    monkeypatch.setattr(version_checks, "KNOWN_DEFECTS", (defect,))
    assert "is bad -> take another" in _messages(subject, "versions", "warning")


def test_a_missing_model_stops_no_other_check(subject: Subject, tree: Path) -> None:
    spec = EngineSpec(model="nowhere", engine=LocalOptions())
    diagnoses = list(diagnose(replace(subject, spec=spec, data_root=tree, load=True)))
    assert "no such folder" in _messages(replace(subject, spec=spec), "files", "error")
    assert any(each.check == "photos" for each in diagnoses)


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.mark.peers
def test_two_checkpoints_that_answer_differently(subject: Subject, tmp_path: Path) -> None:
    loaded = replace(subject, load=True)

    def compare_with(name: str, change: Callable[[Path], None]) -> Subject:
        folder = Path(shutil.copytree(BASE, tmp_path / name))
        change(folder)
        return replace(loaded, compare_with=replace(subject.local, model=str(folder)))

    copy = compare_with("same", lambda folder: None)
    messages = _messages(copy, "compare", "ok")
    assert "4 of 4 greedy answers are the same" in messages
    template = compare_with(
        "template",
        lambda f: _rewrite(
            f / "chat_template.jinja", lambda text: text.replace("assistant", "helper")
        ),
    )
    assert "prompt tokens differ: caption of" in _messages(template, "compare", "error")

    def smaller(text: str) -> str:
        config = json.loads(text)
        config["size"]["longest_edge"] //= 4
        config["size"]["shortest_edge"] //= 4
        return json.dumps(config)

    pixels = compare_with("pixels", lambda f: _rewrite(f / "preprocessor_config.json", smaller))
    assert "pixels differ: caption of" in _messages(pixels, "compare", "error")
    base = replace(loaded, compare_with=replace(subject.local, adapters=()))
    messages = _messages(base, "compare", "error")
    assert "greedy answers are the same; caption of" in messages
    assert "at character" in messages


def test_the_command_as_lines_and_as_json(tree: Path) -> None:
    words = ["doctor", "--model", "demo", "--adapters", "demo", "--data-root", str(tree)]
    run = subprocess.run(
        [*SHENHE, *words, "--no-load"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr  # one photo of the demo is damaged
    assert "ERROR   truncated: " in run.stdout
    run = subprocess.run([*SHENHE, *words, "--json"], capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)
    assert not report["ok"]
    assert {"check", "level", "what", "remedy"} == set(report["checks"][0])
    assert {check["check"] for check in report["checks"]} >= {
        "versions",
        "files",
        "photos",
        "answers",
    }


@pytest.fixture
def exported(subject: Subject, tmp_path: Path) -> Subject:
    """A copy of the bundled export, as the subject of the checks."""
    folder = shutil.copytree(DEMO / "checkpoint" / "openvino", tmp_path / "exported")
    return replace(subject, spec=EngineSpec(model=str(folder), engine=OpenvinoOptions()))


def test_an_export_for_openvino(exported: Subject) -> None:
    diagnoses = list(diagnose(replace(exported, load=True)))
    assert {each.finding.level for each in diagnoses} == {"ok"}
    told = " ".join(f"{each.check}: {each.finding.message}" for each in diagnoses)
    assert "files: 0.009 GB in 5 models, weights in fp16" in told
    assert "photos are resized to 4,096 to 81,920 pixels: preprocessor_config.json" in told
    assert "answers: 2 captions of 2 have geometry" in told
    assert "ms a token" in told


def test_an_export_that_nobody_recorded(exported: Subject) -> None:
    (Path(exported.spec.model) / "shenhe_export.json").unlink()
    assert "no record" in _messages(exported, "files", "warning")


@pytest.mark.parametrize("name", ["openvino_language_model.bin", "config.json"])
def test_half_an_export(exported: Subject, name: str) -> None:
    (Path(exported.spec.model) / name).unlink()
    assert name in _messages(exported, "files", "error")


def test_adapters_beside_an_export(exported: Subject) -> None:
    asked = replace(exported, spec=replace(exported.spec, adapters=("demo",)))
    assert "--adapters: are merged before an export" in _messages(asked, "files", "error")


def test_the_photos_of_an_export_are_as_large_as_they_are_asked_for(exported: Subject) -> None:
    asked = replace(exported, spec=replace(exported.spec, max_pixels=65_536))
    assert "4,096 to 65,536 pixels: --max-pixels 65536" in _messages(asked, "files", "ok")


def test_an_export_is_looked_at_without_torch() -> None:
    code = """
import sys
from shenhe.cli.main import exit_code
assert exit_code(["doctor", "--engine", "openvino", "--model", "demo"]) == 0
print([name for name in ("torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_export_is_compared_with_nothing() -> None:
    command = [*SHENHE, "doctor", "--engine", "openvino", "--model", "demo", "--compare", "demo"]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert stopped.returncode == 2
    assert "--compare: looks inside both checkpoints" in stopped.stderr


def test_a_server(tmp_path: Path) -> None:
    with scripted() as served:
        command = [*SHENHE, "doctor", "--model", "scripted", "--engine"]
        command += ["server", "--base-url", served.url, "--data-root", str(DEMO / "photos")]
        running = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "does not hold answers to a format" in running.stdout
    assert "verdicts have no p_pass" in running.stdout
    assert "Stage-A lines of 4 can be read" in running.stdout
    assert "captions of 4 cannot be read" not in running.stdout or "no geometry" in running.stdout
    assert running.returncode == 1  # a photo of the demo cannot be read
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no OpenAI-compatible server there" in stopped.stdout


def test_the_doctor_reads_the_tree_as_a_run_does(
    subject: Subject, make_group: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_group("QC-1", "1.jpg", label="审核通过")
    (folder / "补充").mkdir()
    (folder / "1.jpg").rename(folder / "补充" / "1.jpg")
    make_group("QC-2", "1.jpg", label="审核通过")
    make_group("QC-3", "1.jpg", label="合格")
    with_tree = replace(subject, data_root=tmp_path / "tree")
    assert "1 photos can be opened; looked at all 1" in _messages(with_tree, "photos", "ok")
    assert "group QC-1: not looked at: 补充/1.jpg" in _messages(with_tree, "photos", "warning")
    messages = _messages(with_tree, "photos", "error")
    assert "group QC-1 has no photo" in messages
    assert "合格: a label folder in another spelling?" in messages
    nothing = replace(subject, data_root=tmp_path / "tree" / "挡风板安装检查")
    assert "is a mission's own folder" in _messages(nothing, "photos", "error")
