"""What sheets say of a group, in the language of the sheet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone

from shenhe.languages import Language
from shenhe.proportions import Share
from shenhe.report.reading import SheetGroup
from shenhe.report.times import read_time, show_time
from shenhe.row_types import VerdictRow
from shenhe.rows.decision_rows import Decision
from shenhe.rows.evidence_table import STATES
from shenhe.rows.problem_words import words_of_malformed
from shenhe.rows.statements import codes_of, split_reason
from shenhe.rows.words import words_of
from shenhe.templating import load_words
from shenhe.values import EXPECTED, FORMAT, Label, Ruling

CONFIDENCE = 0.95
"""How sure the intervals of sheets are."""


def sheet_words(language: Language) -> Mapping[str, str]:
    """Load the words of sheets and of the report.

    >>> sheet_words("en")["title"]
    'Acceptance sheet'
    """
    return load_words("shenhe.report", language)


class Speaker:
    """Says in one language what stands in rows and decisions.

    >>> Speaker("en").verdict(None), Speaker("zh").share(Share(0, 12))
    ('undecided', '0.0%（0/12，至多 24.2%）')
    """

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self.words = sheet_words(language)

    def verdict(self, verdict: Ruling | None) -> str:
        """Name a verdict; people everywhere read 通过 and 不通过, which rows say too."""
        return verdict or self.words["undecided"]

    def label(self, label: Label | None) -> str:
        """Name what people said earlier; empty where nobody did."""
        return EXPECTED[label] if label else ""

    def decision(self, decision: Decision | None) -> str:
        """Name what people decided; empty where nobody did."""
        return decision.opinion.choice if decision and decision.opinion else ""

    def machine(self, row: VerdictRow, zone: timezone) -> str:
        """Say what the model decided, how surely and when."""
        parts = [self.verdict(row.verdict)]
        if row.p_pass is not None:
            parts.append(self.words["p_pass"].format(p=f"{row.p_pass:.3f}"))
        return self.words["joint"].join([*parts, self.time(row.timestamp, zone)])

    def why(self, row: VerdictRow) -> str:
        """Say why a group is undecided; empty for a decided one."""
        if row.verdict is not None:
            return ""
        codes = codes_of(row) or [""]
        return self.words["joint"].join(getattr(words_of(code), self.language) for code in codes)

    def reason(self, row: VerdictRow) -> str:
        """Give the reason of a verdict, without the code that stands before it."""
        if row.verdict is not None:
            return row.reason
        code, reason = split_reason(row.reason)
        if code == FORMAT:
            reason = getattr(words_of_malformed(reason), self.language)
        return "" if reason == code else reason

    def evidence(self, row: VerdictRow) -> list[str]:
        """Say of each item of the evidence rules how it stands, and on which photos."""
        items = row.meta.evidence.items if row.meta.evidence else []
        lines = []
        for item in items:
            state = getattr(STATES[item.state], self.language)
            photos = dict.fromkeys((*item.right, *item.wrong, *item.doubtful))
            name = f"{item.item} [{item.place}]" if item.place else item.item
            lines.append(f"{state}{self.words['colon']}{name}{_bracketed(photos)}")
        return lines

    def faults(self, decision: Decision | None) -> str:
        """List the reasons for failing that people chose."""
        faults = decision.opinion.faults if decision and decision.opinion else ()
        return self.words["listed"].join(faults)

    def share(self, share: Share) -> str:
        """Write a share with its counts and its interval; a dash where there is none."""
        if share.value is None:
            return "–"
        return self.words["share"].format(
            share=self.percent(share), counts=self.counts(share), ends=self.ends(share)
        )

    def percent(self, share: Share) -> str:
        """Write a share alone; a dash where there is nothing to share."""
        return "–" if share.value is None else f"{share.value:.1%}"

    def interval(self, share: Share) -> str:
        """Write what a share rests on: its counts and its interval; empty where there is none."""
        if not share.total:
            return ""
        return self.words["interval"].format(counts=self.counts(share), ends=self.ends(share))

    @staticmethod
    def counts(share: Share) -> str:
        """Write the counts of a share."""
        return f"{share.count:,}/{share.total:,}"

    def ends(self, share: Share) -> str:
        """Write the ends of the interval of a share: one that was never seen is at most so much."""
        low, high = (f"{100 * bound:.1f}" for bound in share.interval(CONFIDENCE))
        name = "at_most" if share.count == 0 and share.total else "from_to"
        return self.words[name].format(low=low, high=high)

    def time(self, text: str, zone: timezone) -> str:
        """Write a time of a row with its zone; a text that is none stays as it is."""
        time = read_time(text, zone)
        return text if time is None else f"{show_time(time)} ({zone})"

    def problem(self, group: SheetGroup) -> str:
        """Say what is missing of a group; empty where nothing is."""
        if group.summary is None:
            return self.words["no_lines_photos" if group.unread else "no_lines"]
        return "" if group.photo_keys else self.words["no_photos"]


def _bracketed(photos: Mapping[str, None]) -> str:
    return f" ({', '.join(photos)})" if photos else ""
