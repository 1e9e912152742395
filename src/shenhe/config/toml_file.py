"""TOML files as validated models; an error is one line that names the file and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shenhe.errors import ConfigError

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses unknown keys, so that misspelt ones are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def read_toml(path: Path, model: type[AnyModel]) -> AnyModel:
    """Load and validate a TOML file.

    Raises: ConfigError that names the file and the first invalid key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return model.model_validate(data)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = "no such key here"
        raise ConfigError(f"{path}: {key or 'file'}: {problem}") from error
