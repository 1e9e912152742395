"""Which decisions of a run a second person judges, by a draw as in a blind audit."""

from __future__ import annotations

from typing import Final, Literal, get_args

from shenhe.rows.audits import AuditPlan

SecondOf = Literal["all", "通过"]
SECOND_OF: Final[tuple[SecondOf, ...]] = get_args(SecondOf)


class SecondPlan(AuditPlan):
    r"""The share of the decided groups that a second person judges without knowing of the first.

    `of` says which decisions are drawn from: all, or only those that were 通过.

        >>> plan = SecondPlan(seed="7", share=0.5, of="通过", timestamp="")
        >>> [plan.concerns(choice) for choice in ("通过", "不通过", "待定")]
        [True, False, False]
    """

    of: SecondOf

    def draws_decision(self, key: str, choice: str) -> bool:
        """Whether a second person is asked about a group with this decision."""
        return self.concerns(choice) and self.draws(key)

    def concerns(self, choice: str) -> bool:
        """Whether groups with this decision are drawn from; 待定 decides nothing."""
        return choice == "通过" or (self.of == "all" and choice == "不通过")
