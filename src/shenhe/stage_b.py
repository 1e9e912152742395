"""The prompt of Stage-B, for callers that run the model themselves."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe.config import load_missions, load_prompts
from shenhe.stages import verdict


def build_stage_b_messages(
    stage_a_summaries: Mapping[str, str], task_type: str
) -> list[dict[str, str]]:
    """Build the text-only messages that ask for a group's verdict.

    Shape: {"图片_1": line, ...} in, [{"role": ..., "content": ...}, ...] out.
    Raises: UsageError for an unknown mission; FormatError for a line that is no summary.

        >>> messages = build_stage_b_messages({"图片_1": "标签/可以识别×2"}, "挡风板安装检查")
        >>> [message["role"] for message in messages]
        ['system', 'user']
    """
    mission = load_missions().get(task_type)
    messages = verdict.messages(stage_a_summaries, mission, load_prompts().verdict)
    return [
        {"role": message.role, "content": "".join(str(part) for part in message.parts)}
        for message in messages
    ]
