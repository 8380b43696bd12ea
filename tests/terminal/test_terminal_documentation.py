"""What docs/chat.md says of the terminal, against what is there."""

import re
from pathlib import Path

from fairseq_audiochat.terminal.conversation_loop import COMMANDS, HELP
from fairseq_audiochat.terminal.options import parser

DOCUMENT = Path(__file__).parents[2] / "docs/chat.md"
SECTION = DOCUMENT.read_text(encoding="utf-8").partition("## In the terminal")[2]
SECTION = SECTION.partition("\n## ")[0]


def test_every_option_is_in_the_table():
    cells = re.findall(r"^\| (`--.*?) \|", SECTION, re.M)
    named = set(re.findall(r"`(--[a-z-]+)`", " ".join(cells)))
    assert named == {action.option_strings[-1] for action in parser()._actions} - {"--help"}


def test_every_command_is_in_the_table_and_in_the_help():
    cells = re.findall(r"^\| (`:.*?) \|", SECTION, re.M)
    assert set(re.findall(r"`(:[a-z]+)", " ".join(cells))) == set(COMMANDS)
    assert set(re.findall(r"^  (:[a-z]+)", HELP, re.M)) == set(COMMANDS)
