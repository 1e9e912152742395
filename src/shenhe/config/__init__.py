"""Missions, prompts, rules, examples, formats, vocabulary: data files, loaded and validated."""

from shenhe.config.evidence import EvidenceRules
from shenhe.config.formats import formats_by_hash, load_formats
from shenhe.config.label_folders import LabelFolders, load_label_folders
from shenhe.config.missions import Mission, Missions, load_missions
from shenhe.config.prompts import Prompts, Template, load_prompts
from shenhe.config.teaching import Teaching, load_teaching
from shenhe.config.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    "EvidenceRules",
    "LabelFolders",
    "Mission",
    "Missions",
    "Prompts",
    "Teaching",
    "Template",
    "Vocabulary",
    "formats_by_hash",
    "load_formats",
    "load_label_folders",
    "load_missions",
    "load_prompts",
    "load_teaching",
    "load_vocabulary",
]
