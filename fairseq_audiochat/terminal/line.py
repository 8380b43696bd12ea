r"""What a user typed, taken apart: a command, or a turn of text and recordings.

A line is text in which each ``:audio FILE`` and each ``:record`` stands for a recording, so that
one turn can hold several of them. A line that begins with another word behind a colon is a command;
one that begins with a blank never is. Opens no file.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

Part = dict[str, Any]

RECORD: Part = {"type": "record"}
"""Stands for a recording that is still to be made."""

_COMMAND = re.compile(r":(\S*)\s*(.*)", re.DOTALL)
_RECORDING = re.compile(
    r"""(?:^|(?<=\s)):(?:
        (?P<record>record(?=\s|$))
        | audio(?=\s|$)\s*(?:
            "(?P<double>[^"]+)" | '(?P<single>[^']+)' | (?P<bare>(?:\\.|[^\s\\])+)
        )?
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")


class Command(NamedTuple):
    """A command and what follows it."""

    name: str
    argument: str


def parse(line: str) -> Command | list[Part]:
    """A command, or the parts of a user message.

    Raises:
        ValueError: If ``:audio`` names no file.
    """
    match = _COMMAND.match(line)
    if match and match[1] not in ("audio", "record"):
        return Command(match[1], match[2].strip())
    return _parts(line)


def path_of(text: str) -> Path:
    """A file as it was typed: quoted perhaps, or with its blanks behind a backslash."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return Path(text[1:-1]).expanduser()
    return Path(_ESCAPED.sub(r"\1", text)).expanduser()


def _parts(line: str) -> list[Part]:
    parts, end = list[Part](), 0
    for match in _RECORDING.finditer(line):
        parts += _text(line[end : match.start()])
        parts.append(RECORD if match["record"] else _file(match))
        end = match.end()
    return parts + _text(line[end:])


def _text(typed: str) -> list[Part]:
    """A text part, without the blanks around it."""
    text = typed.strip()
    return [{"type": "text", "text": text}] if text else []


def _file(match: re.Match[str]) -> Part:
    quoted = match["double"] or match["single"]
    if not quoted and not match["bare"]:
        raise ValueError(":audio must be followed by a file, but is not; type :audio FILE.")
    path = Path(quoted).expanduser() if quoted else path_of(match["bare"])
    return {"type": "audio", "audio": str(path.absolute())}
