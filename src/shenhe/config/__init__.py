"""Missions and prompts: data files, loaded, validated and hashed."""

from shenhe.config.missions import Mission, Missions, load_missions
from shenhe.config.prompts import Prompts, Template, load_prompts

__all__ = ["Mission", "Missions", "Prompts", "Template", "load_missions", "load_prompts"]
