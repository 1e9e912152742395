"""Why something is slow, malformed or missing: every row of a troubleshooting table as a check."""

from shenhe.doctor.diagnose import Diagnosis, diagnose
from shenhe.doctor.subject import Subject

__all__ = ["Diagnosis", "Subject", "diagnose"]
