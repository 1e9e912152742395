"""The terminal of a conversation: lines in, streamed answers out, also through pipes."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

from shenhe.chat.conversation import Conversation
from shenhe.config import Template
from shenhe.errors import ItemError, RunError, ShenheError, UsageError, spelled
from shenhe.locations import locate
from shenhe.messages import IMAGE_TAG, Answer, FinishReason, ImagePart
from shenhe.printable import show, show_data, worded

PROMPT, MORE = "<<< ", "... "
END_OF_LINES = "#"
HELP = """\
/image PATH...   attach photos to the next question; <image> in a question asks for one, there
/caption         the dense caption of the attached photos, or the last ones, with shenhe's prompt
/draw [DIR]      draw the last answer on its photos, and print where
/system [TEXT]   show or replace the system prompt; also reset-system
/clear           forget the conversation; also clear
/save FILE       write the conversation as JSON
/multi, /single  a question of several lines, which ends with #; also multi-line, single-line
/help            this
/exit            leave; also exit, quit, Ctrl-D
Ctrl-C stops an answer, and leaves the conversation as it was before the question."""
CUT: dict[FinishReason, str] = {
    "stop": "",
    "length": ", cut at the limit",
    "loop": ", stopped: it repeats itself",
}
SWIFT_WORDS = {
    "clear": "/clear",
    "reset-system": "/reset-system",
    "multi-line": "/multi",
    "single-line": "/single",
    "exit": "/exit",
    "quit": "/exit",
}
"""Commands of ms-swift, alone on a line."""


class Terminal:
    """Reads stdin and writes stdout, with line editing and history if stdin is a terminal.

    Example:
        Terminal(conversation, load_prompts().caption, stream=True).run()

    """

    def __init__(self, conversation: Conversation, template: Template, *, stream: bool) -> None:
        """Show a conversation; `template` is the prompt of /caption."""
        self._talk, self._template, self._stream = conversation, template, stream
        self._interactive = sys.stdin.isatty()
        self._several_lines = False
        self._has_read = False
        if self._interactive:
            import readline  # noqa: F401 - gives `input` its line editing and history

    def run(self) -> int:
        """Read questions and commands until the end of the input. Returns the exit code.

        The code is 1 if a line failed that was not typed at a terminal.
        """
        commands: dict[str, Callable[[str], None]] = {
            "/image": self._image,
            "/caption": lambda _: self._say(lambda: self._talk.caption(self._template)),
            "/draw": self._draw,
            "/system": self._system,
            "/reset-system": self._reset_system,
            "/clear": self._clear,
            "/save": self._save,
            "/multi": lambda _: self._set_several_lines(True),
            "/single": lambda _: self._set_several_lines(False),
            "/help": lambda _: show(HELP),
        }
        code = 0
        if self._interactive:
            show("/help lists what can be typed; /exit leaves")
        while True:
            try:
                text = self._read_question()
                word, _, argument = SWIFT_WORDS.get(text, text).partition(" ")
                if word in ("/exit", "/quit"):
                    return code
                if word in commands:
                    commands[word](argument.strip())
                elif word.startswith("/") and "/" not in word[1:]:
                    raise RunError(f"{word}: no such command; /help lists them")
                elif text:
                    self._question(text)
            except EOFError:
                self._tell_if_nothing_came()
                return code
            except KeyboardInterrupt:
                show("\n[stopped]")
            except (ItemError, RunError, UsageError) as error:
                code = 0 if self._interactive else 1
                show(f"[{worded(str(error))}]")

    def one_shot(self, text: str) -> int:
        """Ask one question and print the answer alone. Returns the exit code."""
        self._say(lambda: self._talk.ask(text), show_speed=False)
        return 0

    # --- reading ---

    def _read_question(self) -> str:
        line = self._line(PROMPT)
        if not self._several_lines or line.strip() in SWIFT_WORDS or line.startswith("/"):
            return line.strip()
        lines = [line]
        while not lines[-1].rstrip().endswith(END_OF_LINES):
            lines.append(self._line(MORE))
        return "\n".join(lines).rstrip().removesuffix(END_OF_LINES).rstrip()

    def _line(self, prompt: str) -> str:
        line = input(prompt if self._interactive else "")
        self._has_read = True
        return line

    def _question(self, text: str) -> None:
        for number in range(len(self._talk.waiting), text.count(IMAGE_TAG)):
            self._attach(self._line(f"photo {number + 1} of {text.count(IMAGE_TAG)}: ").strip())
        self._say(lambda: self._talk.ask(text))

    def _tell_if_nothing_came(self) -> None:
        if not self._has_read:
            remedy = f"give one by {spelled('prompt')}, or lines of them"
            show(f"shenhe: no question came: {remedy}", file=sys.stderr)

    # --- answering ---

    def _say(
        self, ask: Callable[[], Generator[str, None, Answer]], *, show_speed: bool = True
    ) -> None:
        """Print the pieces of an answer, then its speed."""
        start = time.monotonic()
        pieces = ask()
        buffer: list[str] = []
        printed = False
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                answer: Answer = end.value
                break
            except ShenheError as error:
                if isinstance(error, ItemError):
                    self._talk.waiting = []  # or the next question would fail on the same photo
                if printed:
                    show()  # the message of the error begins on its own line
                raise
            if self._stream:
                show_data(piece, end="")
                printed = printed or bool(piece)
            else:
                buffer.append(piece)
        show_data("".join(buffer))
        if show_speed:
            seconds = max(time.monotonic() - start, 1e-9)
            cut = CUT[answer.finish_reason]
            show(
                f"[{answer.new_tokens} tokens, {answer.new_tokens / seconds:.1f} tokens/s{cut}]",
            )

    # --- commands ---

    def _image(self, argument: str) -> None:
        if not argument:
            raise RunError("/image PATH: name a photo")
        names = [argument]
        if not Path(argument).expanduser().exists():
            try:
                names = shlex.split(argument)
            except ValueError as error:
                raise RunError(f"/image {argument}: {error}") from error
        for name in names:
            self._attach(name)
        show(f"[{len(self._talk.waiting)} photos wait for the next question]")

    def _attach(self, name: str) -> None:
        photo = locate(os.path.expanduser(name))
        if isinstance(photo, Path) and not photo.is_file():
            raise RunError(f"{photo}: no such photo")
        self._talk.waiting.append(photo)

    def _draw(self, argument: str) -> None:
        recovery, paths = self._talk.draw(Path(argument or "shenhe-overlays"))
        for path in paths:
            show_data(path)
        if recovery.repairs:
            show(f"[repaired: {', '.join(map(str, recovery.repairs))}]")

    def _system(self, argument: str) -> None:
        if argument:
            self._talk.system = argument
        show(f"[system: {self._talk.system or 'none'}]")

    def _reset_system(self, _: str) -> None:
        self._talk.system = self._line("system: ").strip()
        self._clear("")

    def _clear(self, _: str) -> None:
        self._talk.clear()
        show("[cleared]")

    def _save(self, argument: str) -> None:
        if not argument:
            raise RunError("/save FILE: name a file")
        messages = [
            {
                "role": message.role,
                "content": [
                    {"type": "image", "image": str(part.path)}
                    if isinstance(part, ImagePart)
                    else {"type": "text", "text": part}
                    for part in message.parts
                ],
            }
            for message in self._talk.history
        ]
        if self._talk.system:
            text = {"type": "text", "text": self._talk.system}
            messages.insert(0, {"role": "system", "content": [text]})
        try:
            Path(argument).expanduser().write_text(
                json.dumps({"messages": messages}, ensure_ascii=False, indent=2) + "\n",
                encoding="utf-8",
            )
        except OSError as error:
            raise RunError(f"{argument}: cannot be written: {error.strerror}") from error
        show(f"[{len(messages)} messages written to {argument}]")

    def _set_several_lines(self, on: bool) -> None:
        self._several_lines = on
        how = f"several lines, the last one ends with {END_OF_LINES}" if on else "one line"
        show(f"[a question is {how}]")
