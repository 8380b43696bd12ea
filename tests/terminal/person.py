"""A person at a terminal: types, and reads what is on the screen.

The program runs behind a pseudo-terminal, in a fork, because importing torch again takes seconds.
"""

import ctypes
import os
import pty
import re
import readline
import select
import signal
import sys
import termios
import time
import traceback
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 30  # until a program counts as stuck; nothing waits for so long otherwise
CTRL_C, CTRL_D = "\x03", "\x04"


class Person:
    """Starts a program and talks with it.

    Args:
        program: Gives the exit code.
        term: The kind of terminal; a dumb one gets no escape sequences at all.
    """

    def __init__(self, program: Callable[[], int], term: str = "dumb") -> None:
        self.seen = ""  # all that was ever on the screen
        self._read_to = 0
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            _run(program, term)

    def type(self, text: str) -> None:
        """Press keys; a line ends with a newline."""
        os.write(self._terminal, text.encode())

    def interrupt_prompt(self) -> None:
        """Press Ctrl-C while the program sleeps until a key is pressed.

        One that comes a moment before that is noticed by Python's readline with the next key.
        """
        status = Path(f"/proc/{self._pid}/stat")
        while status.read_text().rpartition(") ")[2][0] != "S":
            time.sleep(0.01)
        self.type(CTRL_C)

    def say(self, line: str, then: str = "you> ") -> str:
        """Type a line; gives what is shown until the next prompt, without what was typed."""
        self.type(line + "\n")
        self.expect(re.escape(line) + r"\r*\n")
        return self.expect(rf"(?<![^\n]){re.escape(then)}").strip()

    def expect(self, pattern: str) -> str:
        """Wait for a pattern; gives what was shown before it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (match := re.compile(pattern).search(self.seen, self._read_to)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen[self._read_to :]!r}"
            assert self._look(), f"ended without {pattern!r}: {self.seen[self._read_to :]!r}"
        before = self.seen[self._read_to : match.start()]
        self._read_to = match.end()
        return before.replace("\r", "")

    def kill(self) -> None:
        """End the program at once, as when the power fails."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def leave(self) -> int:
        """Wait for the program's end; gives its exit code."""
        while self._look():
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _look(self) -> bool:
        """Read what is new on the screen; False when the program has ended."""
        ready, _, _ = select.select([self._terminal], [], [], PATIENCE_SECONDS)
        assert ready, f"stuck after {self.seen[-500:]!r}"
        try:
            new = os.read(self._terminal, 4096)
        except OSError:  # Linux: nobody has the other side open
            return False
        self.seen += new.decode(errors="replace")
        return bool(new)


def _run(program: Callable[[], int], term: str) -> None:
    code = 99
    try:
        os.environ.update(TERM=term, INPUTRC="/dev/null")
        # What a shell starts in the background ignores Ctrl-C, and so would the program here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # pytest has imported readline, which then read the TERM of pytest's own terminal
        ctypes.CDLL(readline.__file__).rl_reset_terminal(term.encode())
        termios.tcsetwinsize(0, (50, 1000))  # lines are not broken, however long a path is
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        code = program()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
