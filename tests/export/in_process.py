"""fairseq's commands in this process, as a user types them: starting others takes seconds each."""

import logging
import re
import sys
from pathlib import Path

import pytest
from command_line import OPTIMIZATION, TINY_ENCODER, USER_DIR, training_config
from fairseq_cli import generate as fairseq_generate
from fairseq_cli import validate as fairseq_validate
from fairseq_cli.train import main as fairseq_train


def train(data: Path, save_dir: Path, *arguments: object) -> Path:
    """Train for some updates; gives the last checkpoint."""
    common = [data, "--user-dir", USER_DIR, *OPTIMIZATION, *TINY_ENCODER, "--valid-subset", "dev"]
    quiet = [
        "--num-workers",
        0,
        "--disable-validation",
        "--no-epoch-checkpoints",
        "--save-dir",
        save_dir,
    ]
    fairseq_train(training_config(*common, *quiet, *arguments))
    return save_dir / "checkpoint_last.pt"


class Commands:
    """fairseq-validate and fairseq-generate on the split ``dev``."""

    def __init__(self, data: Path, monkeypatch, caplog, capsys) -> None:
        self.data = data
        self.monkeypatch, self.caplog, self.capsys = monkeypatch, caplog, capsys
        monkeypatch.setattr(fairseq_validate, "reset_logging", lambda: None)  # it takes our log
        caplog.set_level(logging.INFO)

    def _run(self, module, *arguments: object) -> None:
        common = [self.data, "--user-dir", USER_DIR, "--cpu", "--batch-size", 4, "--num-workers", 0]
        line = [str(argument) for argument in (*common, *arguments)]
        self.monkeypatch.setattr(sys, "argv", ["fairseq", *line])
        self.caplog.clear()
        module.cli_main()

    def validate(self, *arguments: object) -> dict[str, float]:
        """What fairseq-validate logs."""
        self._run(
            fairseq_validate,
            "--valid-subset",
            "dev",
            "--log-format",
            "simple",
            "--num-workers",
            0,
            *arguments,
        )
        logged = [line for line in self.caplog.messages if line.startswith("valid on 'dev' subset")]
        values = dict(field.split() for field in logged[-1].split(" | ")[1:])
        values.pop("wps")  # of the clock
        return {name: float(value) for name, value in values.items()}

    def generate(self, *arguments: object) -> list[str]:
        """The lines of answers and scores that fairseq-generate prints."""
        self.capsys.readouterr()
        self._run(fairseq_generate, "--gen-subset", "dev", *arguments)
        printed = self.capsys.readouterr().out.splitlines()
        return [line for line in printed if re.match("[HDPT]-", line)]


@pytest.fixture
def commands(data_folder: Path, monkeypatch, caplog, capsys) -> Commands:
    return Commands(data_folder, monkeypatch, caplog, capsys)
