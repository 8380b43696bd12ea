"""fairseq's commands, as a user types them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from fairseq import options
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

import fairseq_audiochat

USER_DIR = Path(fairseq_audiochat.__file__).parent
REPOSITORY = USER_DIR.parent
TINY_ENCODER = (
    "--encoder-layers 2 --encoder-width 32 --encoder-ffn-width 64 --encoder-heads 4 "
    "--subsampling-channels 8"
).split()
OPTIMIZATION = (
    "--optimizer adam --lr 1e-3 --lr-scheduler fixed --max-tokens 1000 --clip-norm 1 "
    "--no-progress-bar --log-format simple --log-interval 1 --cpu"
).split()
CTC = "--task audio_ctc --arch conformer_ctc_tiny --criterion audio_ctc".split()
CHAT = "--task audio_chat --arch audio_prefix_llm --criterion response_distillation".split()


def start(command: str, *arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start a command of this environment, or a script by its path, with one thread."""
    program = Path(sys.executable).with_name(command) if "/" not in command else Path(command)
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """Wait for a command; gives what it printed, and fails with it if the command failed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output[-4000:]
    return output


def run(command: str, *arguments: object, cwd: Path | None = None) -> str:
    """Run a command to its end; gives what it printed."""
    return finish(start(command, *arguments, cwd=cwd))


def logged(output: str, name: str, split: str = "dev") -> float:
    """The last value that a split's validation lines log under a name."""
    values = re.findall(rf"\| {split} \|.*\| {name} ([0-9.]+|nan|inf)", output)
    assert values, output[-4000:]
    return float(values[-1])


def run_script(name: str, *arguments: object) -> str:
    """Run a script of data_prep to its end; gives what it printed."""
    return run(str(REPOSITORY / "data_prep" / name), *arguments)


def training_config(*arguments: object) -> FairseqConfig:
    """What fairseq-train makes of its arguments; ``fairseq_cli.train.main`` takes it."""
    parser = options.get_training_parser()
    return convert_namespace_to_omegaconf(
        options.parse_args_and_arch(parser, [str(argument) for argument in arguments])
    )
