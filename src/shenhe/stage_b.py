"""The prompt of Stage-B, for callers that run the model themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shenhe.config import load_formats, load_missions, load_prompts
from shenhe.formats.text_formats import TextFormats
from shenhe.stages import verdict


def build_stage_b_messages(
    stage_a_summaries: Mapping[str, str], task_type: str, formats: str | Path | TextFormats = ""
) -> list[dict[str, str]]:
    """Build the text-only messages that ask for a group's verdict.

    `formats` are those that the checkpoint was trained on: plain, keyed, domain, or a TOML file.
    Shape: {"图片_1": line, ...} in, [{"role": ..., "content": ...}, ...] out.
    Raises: UsageError for an unknown mission; ConfigError for formats that cannot be had;
    FormatError for a line that is no summary.

        >>> messages = build_stage_b_messages({"图片_1": "标签/可以识别×2"}, "挡风板安装检查")
        >>> [message["role"] for message in messages]
        ['system', 'user']
    """
    mission = load_missions().get(task_type)
    trained_on = load_formats(formats)
    template = load_prompts(formats=trained_on).verdict
    messages = verdict.messages(stage_a_summaries, mission, template, trained_on.summary)
    return [
        {"role": message.role, "content": "".join(str(part) for part in message.parts)}
        for message in messages
    ]
