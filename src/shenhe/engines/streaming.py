"""Streaming of a text that grows: each piece once, and only what continues the text so far."""

from __future__ import annotations


class StreamedText:
    r"""The text that has been streamed so far.

    >>> streamed = StreamedText()
    >>> [streamed.extend(text) for text in ("通", "通过", "不", "通过\n理由")]
    ['通', '过', '', '\n理由']
    """

    def __init__(self) -> None:
        self.text = ""

    def extend(self, text: str) -> str:
        """Return the new part of a longer text; empty if it does not continue the streamed one."""
        if not text.startswith(self.text):
            return ""
        piece = text[len(self.text) :]
        self.text = text
        return piece
