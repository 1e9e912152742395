"""Prompts of the three jobs: templates with named fields, and their hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from shenhe.config.missions import Mission
from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError
from shenhe.formats import summary
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.locations import Location

BUILT_IN = Path(__file__).with_name("prompts.toml")
REQUIRED_FIELDS = {"caption": set(), "summary": {"mission"}, "verdict": {"mission", "lines"}}

_FIELD = re.compile(r"\{(mission|focus|rule|lines)\}")
_FORMAT_FIELD = re.compile(r"\{(pass_line|fail_line|reason_mark|answer_form)\}")


@dataclass(frozen=True, slots=True)
class Example:
    """A worked answer to a photo or to the lines of a group; `digest` is the photo's SHA-256."""

    answer: str
    photo: Location | None = None
    digest: str = ""
    lines: str = ""


class JobText(Strict):
    """The system text and the user text of one job; an empty system text sends none."""

    system: str = ""
    user: str = Field(min_length=1)


class Template(JobText):
    """The prompt of one job: its texts, and the worked examples before the question.

    `rules` are the written rules of the mission, with which the system text ends.

    Example:
        load_prompts().summary.fill(load_missions().get("挡风板安装检查"))

    """

    examples: tuple[Example, ...] = ()
    rules: str = ""

    def fill(self, mission: Mission | None = None, lines: str = "") -> str:
        """Fill the fields of the user text, once: a field in a value stays as it is."""
        values = {"lines": lines}
        if mission is not None:
            values |= {"mission": mission.name, "focus": mission.focus, "rule": mission.rule}
        return _substitute(self.user, values)

    def hash(self, mission: Mission | None = None) -> str:
        """Hash the prompt without the group's own content, 16 hex digits."""
        text = "\0".join((self.system, self.fill(mission, "{lines}")))
        for example in self.examples:
            text += "\0".join(("", example.digest, example.lines, example.answer))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Prompts(Strict):
    """The prompts of all jobs.

    Example:
        prompts = load_prompts(Path("prompts.toml"))
        prompts.verdict.hash(mission)

    """

    schema_: Literal[1] = Field(alias="schema")
    caption: Template
    summary: Template
    verdict: Template


class PromptsFile(Strict):
    """A user's prompts file: some of the jobs."""

    schema_: Literal[1] = Field(alias="schema")
    caption: JobText | None = None
    summary: JobText | None = None
    verdict: JobText | None = None


def load_prompts(extra: Path | None = None, formats: TextFormats = PLAIN) -> Prompts:
    """Load the built-in prompts, in the words of the formats; those in a user's file replace them.

    Raises: ConfigError, also for a prompt without a required field.

        >>> load_prompts().verdict.fill(lines="图片_1: 标签/可以识别×1").count("标签/可以识别×1")
        1
    """
    prompts = read_toml(BUILT_IN, Prompts)
    if extra is None:
        return _in_words_of(formats, prompts)
    replaced = {
        job: Template(system=text.system, user=text.user)
        for job, text in read_toml(extra, PromptsFile)
        if isinstance(text, JobText)
    }
    for job, template in replaced.items():
        missing = REQUIRED_FIELDS[job] - set(_FIELD.findall(template.user))
        if missing:
            raise ConfigError(f"{extra}: {job}.user lacks {{{'}, {'.join(sorted(missing))}}}")
    return _in_words_of(formats, prompts.model_copy(update=replaced))


def _in_words_of(formats: TextFormats, prompts: Prompts) -> Prompts:
    """Fill in what answers look like, before anything that comes from missions or groups."""
    words = _words_of(formats)
    return prompts.model_copy(
        update={
            job: template.model_copy(
                update={
                    "system": _FORMAT_FIELD.sub(lambda field: words[field[1]], template.system),
                    "user": _FORMAT_FIELD.sub(lambda field: words[field[1]], template.user).strip(),
                }
            )
            for job, template in prompts
            if isinstance(template, Template)
        }
    )


def _words_of(formats: TextFormats) -> dict[str, str]:
    """Describe the formats in the words of prompts."""
    passed, failed = formats.verdict.openings
    form, answer_form = formats.summary, ""
    if form.wrapper == "keyed":
        answer_form = f"输出一行JSON：{summary.write('摘要', form)}。"
    elif form.wrapper == "json":
        answer_form = "不写摘要行，写一个JSON对象，占一行。"
    if form.header:
        answer_form += f"第一行写{'或'.join(form.headers)}，第二行写内容。"
    return {
        "pass_line": passed,
        "fail_line": failed,
        "reason_mark": formats.verdict.reason_marks[0],
        "answer_form": answer_form,
    }


def _substitute(text: str, values: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda field: values.get(field[1], field[0]), text)
