"""Checks of an installation, a checkpoint, photos and rows: a troubleshooting table as code."""

from shenhe.doctor.diagnose import Diagnosis, diagnose
from shenhe.doctor.subject import Subject

__all__ = ["Diagnosis", "Subject", "diagnose"]
