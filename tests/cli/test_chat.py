"""`shenhe chat` in a real terminal, through a pipe, and by ms-swift's command line."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cli.test_commands import MODEL
from tests.conftest import DEMO
from tests.interrupts import heed_interrupts
from tests.warm import SHENHE

PHOTO = sorted((DEMO / "photos" / "挡风板安装检查").rglob("img-001.jpeg"))[0]


class Typist:
    """Types into a program on a pseudo-terminal, and waits for what it says."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        environment = os.environ | {"TERM": "dumb", "HOME": str(folder)}
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _take_terminal(slave),
        )
        os.close(slave)
        self._seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str, seconds: float = 120) -> str:
        """Give what was said up to a text, which is then behind us."""
        until = time.monotonic() + seconds
        while text not in self._seen:
            ready, _, _ = select.select([self._master], [], [], max(0, until - time.monotonic()))
            assert ready, f"{text!r} never came: {self._seen[-2000:]}"
            self._seen += os.read(self._master, 65_536).decode(errors="replace")
        before, _, self._seen = self._seen.partition(text)
        return before


def _take_terminal(slave: int) -> None:
    heed_interrupts()
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def test_a_session_in_a_terminal(tmp_path: Path) -> None:
    photo = shutil.copy(PHOTO, tmp_path / "机房 1.jpeg")
    with Typist([sys.executable, "-m", "shenhe", "chat", *MODEL], tmp_path) as typist:
        typist.wait_for("<<< ")
        typist.type("/image missing.jpg\n")
        typist.wait_for("missing.jpg: no such photo")
        typist.type(f"/image {photo}\n")
        typist.wait_for("[1 photos wait")
        typist.type("/caption\n")
        said = typist.wait_for("tokens/s]")
        assert '"bbox_2d"' in said
        typist.type("/draw overlays\n")
        typist.wait_for("overlays/机房 1-")
        assert len(list((tmp_path / "overlays").glob("*.jpg"))) == 1

        typist.type("/caption\n")
        typist.wait_for('{"')
        typist.type("\x03")
        typist.wait_for("[stopped]")

        typist.type("multi-line\n")
        typist.wait_for("ends with #")
        typist.type("图片里<image>\n")
        typist.wait_for("... ")
        typist.type("有什么#\n")
        typist.wait_for("photo 1 of 1: ")
        typist.type(f"{photo}\n")
        typist.wait_for("tokens/s]")
        typist.type("single-line\n")
        typist.wait_for("[a question is one line]")
        typist.type("/save talk.json\n")
        typist.wait_for("[2 messages written to talk.json]")
        content = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))
        kinds = [part["type"] for part in content["messages"][0]["content"]]
        assert kinds == ["text", "image", "text"]

        typist.type("reset-system\n")
        typist.wait_for("system: ")
        typist.type("只用中文\n")
        typist.wait_for("[cleared]")
        typist.type("/system\n")
        typist.wait_for("[system: 只用中文]")
        typist.type("/nonsense\n")
        typist.wait_for("no such command")
        typist.type("exit\n")
        assert typist.process.wait(30) == 0


def test_one_shot_and_swifts_command_line(tmp_path: Path) -> None:
    command = [*SHENHE, "infer", *MODEL, "--stream", "true", "--max_new_tokens", "9"]
    command += [
        "--model_type",
        "qwen3_vl",
        "--infer_backend",
        "transformers",
        "--system",
        "你是质检员",
        "--torch_dtype",
    ]
    command += ["float32", "--prompt", "你好", "--image", str(PHOTO)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert run.stdout.strip()
    assert "are ignored: --model-type\n" in run.stderr


def test_infer_takes_base_and_system_prompt_from_args_json(tmp_path: Path) -> None:
    adapter = shutil.copytree(DEMO / "checkpoint" / "adapter", tmp_path / "checkpoint-9")
    told = {"model": "demo", "system": "你是质检员", "norm_bbox": "norm1000"}
    (adapter / "args.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    run = subprocess.run(
        [*SHENHE, "infer", "--adapters", str(adapter), "--max_new_tokens", "8"],
        input="/system\nexit\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "[system: 你是质检员]" in run.stdout
    assert "base demo, as" in run.stderr
    (adapter / "args.json").write_text("{")
    for words, said in (((), "cannot be read"), (("--adapters", "x"), "--model: name the base")):
        command = [*SHENHE, "infer", *(words or ("--adapters", str(adapter)))]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert said in run.stderr


def test_a_pipe(tmp_path: Path) -> None:
    typed = f"/image {PHOTO}\n/caption\n/draw\n/image nowhere.png\n"
    run = subprocess.run(
        [*SHENHE, "chat", *MODEL, "--no-stream"],
        input=typed,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 1
    assert '"desc"' in run.stdout
    assert "<<<" not in run.stdout
    assert "nowhere.png: no such photo" in run.stdout
    assert list((tmp_path / "shenhe-overlays").glob("*.jpg"))
