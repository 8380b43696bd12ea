"""It learns: real speech features, the shipped LLM, a random encoder, two dozen utterances."""

import subprocess
import sys
from pathlib import Path

import generate_responses
import pytest
import tiny
import torch
from fairseq.criterions import CRITERION_REGISTRY

ROOT = Path(__file__).parents[2]
LLM = ROOT / "examples/mini/llm"
UTTERANCES, UPDATES, BATCH = 24, 128, 8


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with ``train``: prompts of the miniature, spoken and answered."""
    pytest.importorskip("espeakng_loader", reason="needs the extra speech")
    folder = tmp_path_factory.mktemp("spoken")
    scripts = {"write": "examples/mini/write_prompts.py", "speak": "data_prep/synthesise_speech.py"}
    commands = [
        [scripts["write"], "--output-dir", folder / "prompts", "--train", UTTERANCES],
        [scripts["speak"], folder / "prompts/train.tsv", folder / "train.tsv"],
    ]
    commands[1] += ["--voices", ROOT / "examples/mini/config/voices_train.txt"]
    for command in commands:
        subprocess.run([sys.executable, *map(str, command)], check=True, cwd=ROOT)
    command = [str(folder / "train.tsv"), "--llm", str(LLM), "--device", "cpu"]
    generate_responses.generate(generate_responses.parser().parse_args(command))
    return folder


def test_a_random_encoder_learns_what_was_said(spoken: Path) -> None:
    """The cross-entropy falls, and falls less far behind other utterances' recordings.

    Guards against a model that learns the answers' grammar alone: its loss would not depend on
    the recording.
    """
    task, model = tiny.make_chat(
        spoken, LLM, encoder_width=96, encoder_ffn_width=192, subsampling_channels=16
    )
    task.load_dataset("train")
    dataset = task.dataset("train")
    items = [dataset[index] for index in range(UTTERANCES)]
    criterion = CRITERION_REGISTRY["response_distillation"](task)

    def loss(members: list[int], offset: int = 0) -> torch.Tensor:
        """Nats per token behind the recordings of the items ``offset`` further on."""
        chosen = [{**items[i], "clips": items[(i + offset) % UTTERANCES]["clips"]} for i in members]
        total, tokens, _ = criterion(model, dataset.collater(chosen))
        return total / tokens

    everything = list(range(UTTERANCES))
    with torch.no_grad():
        before = loss(everything).item()
    train(model, loss)
    model.eval()
    with torch.no_grad():
        own = loss(everything).item()
        others = torch.stack([loss(everything, offset) for offset in (5, 11, 17)]).mean().item()
    assert own < 0.5 * before
    assert own < 0.5 * others


def train(model: torch.nn.Module, loss) -> None:
    """Adam, warm-up and a linear way down, on random batches."""
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=2e-3, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(0)
    for update in range(UPDATES):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((update + 1) / 16, (UPDATES - update) / UPDATES)
        members = torch.randperm(UTTERANCES, generator=generator)[:BATCH].tolist()
        optimizer.zero_grad()
        loss(members).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
