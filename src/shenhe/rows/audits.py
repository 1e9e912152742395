"""The blind audit of a run: a uniform random sample of the groups that the machine passed.

Each group has a number of its own, uniform from 0 to 1, from a seed that is drawn once for a run
and that nobody can know before. Those whose number is below the share are drawn, each by itself: a
larger share holds all of a smaller one.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from pydantic import Field, ValidationError

from shenhe.errors import RunError
from shenhe.files import whole_file
from shenhe.row_types import Row, describe_invalid, utc_now


class AuditPlan(Row):
    r"""How a run is audited: RUN_DIR/review/audit.json.

    >>> plan = AuditPlan(seed="7", share=0.1, timestamp="")
    >>> plan.draws("a\x1f\x1fQC-1") == (plan.number("a\x1f\x1fQC-1") < 0.1)
    True
    """

    seed: str
    share: float = Field(gt=0, le=1)
    timestamp: str

    def number(self, key: str) -> float:
        """Give the number of a group, uniform from 0 to 1; people look in the order of it."""
        return int.from_bytes(self._digest(key)[:8]) / 2**64

    def ticket(self, key: str) -> str:
        """Give an address of a group that tells nothing of it, 32 hexadecimal digits."""
        return self._digest(key)[8:24].hex()

    def draws(self, key: str) -> bool:
        """Whether a group that the machine passed is looked at."""
        return self.number(key) < self.share

    def _digest(self, key: str) -> bytes:
        return hashlib.sha256(f"{self.seed}\x1f{key}".encode("utf-8", "surrogatepass")).digest()


def audit_file(run_dir: Path) -> Path:
    """Name the file of the plan of a run."""
    return run_dir / "review" / "audit.json"


def read_audit_plan(run_dir: Path) -> AuditPlan | None:
    """Read the plan of a run; None if it has none.

    Raises: RunError for a file that cannot be read, or is no plan.
    """
    path = audit_file(run_dir)
    try:
        return AuditPlan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise RunError(f"{path}: is no plan of an audit: {describe_invalid(error)}") from error


def plan_audit(run_dir: Path, share: float) -> AuditPlan:
    """Give the plan of a run; the first time its seed is drawn, later only the share may change.

    Raises: RunError if it cannot be read or written.
    """
    plan = read_audit_plan(run_dir)
    if plan is None or plan.share != share:
        seed = plan.seed if plan else secrets.token_hex(16)
        plan = AuditPlan(seed=seed, share=share, timestamp=utc_now())
        path = audit_file(run_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_text(plan.to_json() + "\n", "utf-8")
    return plan
