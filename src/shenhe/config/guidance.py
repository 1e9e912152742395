"""Written rules of missions: a TOML file of ours, or the JSON guidance of an older pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError
from shenhe.json_keys import refuse_repeated_keys


class Rules(Strict):
    """The written rules of a mission."""

    name: str
    rules: str = Field(min_length=1)


class GuidanceFile(Strict):
    """A TOML file of rules."""

    schema_: Literal[1] = Field(alias="schema")
    mission: list[Rules] = Field(min_length=1)


class OlderGuidance(BaseModel):
    """The guidance of a mission in JSON: a focus, and experiences by their keys, as G0.

    Other keys (step, updated_at, metadata) say nothing to a model, and are passed over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    focus: str = ""
    experiences: dict[str, Annotated[str, Field(min_length=1)]] = Field(min_length=1)


_OLDER_FILE = TypeAdapter(dict[str, OlderGuidance])


def read_guidance(path: Path) -> list[Rules]:
    """Read the rules of missions; a file whose name ends in .json is of the older form.

    Raises: ConfigError that names the file and the first invalid key.

    Example:
        for entry in read_guidance(Path("guidance.toml")):
            print(entry.name, entry.rules)

    """
    if path.suffix.lower() != ".json":
        return read_toml(path, GuidanceFile).mission
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=refuse_repeated_keys)
        missions = _OLDER_FILE.validate_python(content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{path}: {key or 'file'}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from error
    return [
        Rules(name=name, rules="\n".join(_lines(guidance))) for name, guidance in missions.items()
    ]


def _lines(guidance: OlderGuidance) -> list[str]:
    """Write the focus and each experience as a line, in the order of the file."""
    texts = (guidance.focus, *guidance.experiences.values())
    return [" ".join(text.split()) for text in texts if text.strip()]
