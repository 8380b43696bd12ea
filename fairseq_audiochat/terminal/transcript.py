"""The transcript of a session: a file that is whole after every turn.

What a file held before a dialogue was begun anew stays beside it under a number, so nothing that
was said is lost. Knows no model.
"""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from fairseq_audiochat.terminal.message_file import (
    Message,
    check_folder,
    read_messages,
    write_messages,
)


class Transcript:
    """Keeps a file equal to the dialogue.

    Args:
        path: The file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def read(self) -> list[Message]:
        """What an earlier session left.

        Raises:
            FileNotFoundError: If there is not even a folder for it.
            ValueError: If the file is no transcript.
        """
        if self.path is None:
            return []
        check_folder(self.path)
        return read_messages(self.path) if self.path.exists() else []

    def write(self, messages: Sequence[Message]) -> None:
        """The dialogue as it is now.

        Raises:
            OSError: If it cannot be written.
        """
        if self.path:
            write_messages(self.path, messages)

    def put_aside(self) -> Path | None:
        """Give the file a number, because another dialogue begins; tells its new name."""
        if self.path is None or not self.path.exists():
            return None
        names = (self.path.with_name(f"{self.path.stem}.{n}{self.path.suffix}") for n in count(1))
        aside = next(name for name in names if not name.exists())
        return self.path.rename(aside)
