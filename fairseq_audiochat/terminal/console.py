"""A person's terminal: lines in, with editing and history; text out, with nothing that commands it.

Where input or output is no terminal there are no prompts and no colours. Knows no dialogue.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from glob import glob

from fairseq_audiochat.terminal.printable import printable

_BOLD, _DIM, _RED, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
_NO_WIDTH = "\x01{}\x02"  # readline: what stands between takes no columns


class Console:
    """Reads from standard input and writes to standard output.

    Args:
        commands: Names that Tab completes.
    """

    def __init__(self, commands: Sequence[str] = ()) -> None:
        for stream in (sys.stdin, sys.stdout):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="replace")  # a byte that is no UTF-8 ends no session
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
        is_plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self._has_style = sys.stdout.isatty() and not is_plain
        if self.is_interactive:
            _edit_lines(commands)

    def read(self, prompt: str) -> str:
        """A line.

        Raises:
            EOFError: At the end, or at Ctrl-D.
            KeyboardInterrupt: At Ctrl-C.
        """
        if not self.is_interactive:
            return input()
        if self._has_style:
            prompt = _NO_WIDTH.format(_BOLD) + prompt + _NO_WIDTH.format(_OFF)
        return input(prompt)

    def write(self, text: str) -> None:
        """A piece of an answer, at once."""
        print(printable(text), end="", flush=True)

    def line(self, text: str = "") -> None:
        """A line of text."""
        print(printable(text), flush=True)

    def notice(self, text: str) -> None:
        """What the program says of itself."""
        self._styled(text, _DIM)

    def error(self, text: str) -> None:
        """What was wrong."""
        self._styled(f"error: {text}", _RED)

    def _styled(self, text: str, style: str) -> None:
        text = printable(text)
        print(f"{style}{text}{_OFF}" if self._has_style else text, flush=True)


def _edit_lines(commands: Sequence[str]) -> None:
    with suppress(ImportError):  # not on every system; lines can then be typed, not edited
        import readline

        readline.set_completer_delims(" \t\n")
        readline.set_completer(_completer(commands))
        readline.parse_and_bind("tab: complete")


def _completer(commands: Sequence[str]) -> Callable[[str, int], str | None]:
    def complete(text: str, state: int) -> str | None:
        found = [name + " " for name in commands if name.startswith(text)]
        if not text.startswith(":"):
            matches = sorted(glob(os.path.expanduser(text) + "*"))
            found = [path + "/" if os.path.isdir(path) else path for path in matches]
        return found[state] if state < len(found) else None

    return complete
