"""The commands of an evaluation, against what the documentation says of them."""

import argparse
import re
from collections.abc import Iterator

import pytest
from command_line import REPOSITORY

from fairseq_audiochat.evaluate.__main__ import COMMANDS, main, parser

DOCUMENT = (REPOSITORY / "docs/evaluation.md").read_text(encoding="utf-8")


def options() -> Iterator[str]:
    """Every option of every command."""
    (commands,) = (
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    for command in commands.choices.values():
        for action in command._actions:
            yield from (option for option in action.option_strings if option.startswith("--"))


def test_every_option_is_documented():
    known = set(options()) - {"--help"}
    named = set(re.findall(r"(--[a-z-]+)", DOCUMENT))
    assert known - named == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_and_helps(command, capsys):
    assert f"fairseq_audiochat.evaluate {command} " in DOCUMENT
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"fairseq_audiochat.evaluate {command}" in capsys.readouterr().out
