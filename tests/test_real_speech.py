"""The whole method on real human speech, by the commands that a user types.

Needs a directory in the layout of Multilingual LibriSpeech, named by the environment variable
AUDIOCHAT_REAL_SPEECH (a few dozen utterances are enough); skipped, with this reason, without.
"""

import os
import re
from pathlib import Path

import pytest
from command_line import CHAT, CTC, OPTIMIZATION, REPOSITORY, USER_DIR, logged, run, run_script

CORPUS = os.environ.get("AUDIOCHAT_REAL_SPEECH", "")

pytestmark = [
    pytest.mark.real_speech,
    pytest.mark.skipif(
        not CORPUS, reason="AUDIOCHAT_REAL_SPEECH names no directory of real speech (MLS layout)"
    ),
]
LLM = REPOSITORY / "examples/mini/llm"


def train(data: Path, save_dir: Path, *options: object) -> str:
    """Train on the twenty-odd utterances of the smallest training set, to learn them by heart."""
    common = ["--user-dir", USER_DIR, *OPTIMIZATION, "--max-tokens", 3000, "--batch-size", 4]
    common += ["--lr", 2e-3, "--encoder-dropout", 0, "--freq-masks", 0, "--time-masks", 0]
    common += ["--train-subset", "train_9hr", "--valid-subset", "dev", "--validate-interval", 99]
    return run("fairseq-train", data, *common, "--save-dir", save_dir, *options)


def training_losses(output: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"\| train \|.*\| loss ([0-9.]+)", output)]


def test_the_method_learns_from_real_speech(tmp_path: Path):
    run_script("prepare_mls.py", CORPUS, tmp_path, "--limited", "9hr")
    run_script(
        "train_vocabulary.py",
        tmp_path / "train.tsv",
        *("--output", tmp_path / "spm.model", "--size", 60),
    )
    for split in ("train_9hr", "dev", "test"):
        run_script("generate_responses.py", tmp_path / f"{split}.tsv", "--llm", LLM)

    ctc_dir, chat_dir = tmp_path / "ctc", tmp_path / "chat"
    losses: list[float] = []
    # Nats per piece. The frequencies of 60 pieces alone give about 3.5, where CTC lingers before
    # it listens. When it leaves is chance: the rounding of one machine or another moved a loss of
    # 2.4 from the 19th to the 37th epoch. So a run that lingers goes on.
    for epochs in (36, 54, 72):
        output = train(tmp_path, ctc_dir, *CTC, "--max-epoch", epochs, "--no-epoch-checkpoints")
        losses += training_losses(output)
        if losses[-1] < 2.0:
            break
    assert losses[0] > 3.5
    assert losses[-1] < 2.0

    chat = [*CHAT, "--llm", LLM, "--encoder-checkpoint", ctc_dir / "checkpoint_last.pt"]
    losses = training_losses(
        train(tmp_path, chat_dir, *chat, "--max-epoch", 10, "--no-epoch-checkpoints")
    )
    assert losses[-1] < 0.5 * losses[0]

    options = [
        *(tmp_path, "--user-dir", USER_DIR, "--task", "audio_chat", "--llm", LLM, "--cpu"),
        *("--path", chat_dir / "checkpoint_last.pt", "--batch-size", 4),
    ]
    output = run("fairseq-validate", *options, "--valid-subset", "test")
    assert logged(output, "ppl", split="test") > 1
    assert logged(output, "bsz", split="test") == 10
    output = run("fairseq-generate", *options, "--gen-subset", "test", "--beam", 10)
    assert len(re.findall(r"^D-", output, flags=re.MULTILINE)) == 10
