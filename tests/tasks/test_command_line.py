"""The whole method by fairseq's own commands, from a folder that is not the repository."""

from pathlib import Path

import pytest
import torch
import yaml
from command_line import CTC, OPTIMIZATION, TINY_ENCODER, USER_DIR, logged, run


@pytest.fixture(scope="module")
def checkpoints(data_folder: Path, llm_path: Path, tmp_path_factory) -> dict[str, Path]:
    """A CTC checkpoint and one distilled from it, trained for a few updates."""
    folder = tmp_path_factory.mktemp("checkpoints")
    common = [data_folder, "--user-dir", USER_DIR, *OPTIMIZATION, "--valid-subset", "dev"]
    ctc, chat = folder / "ctc", folder / "chat"
    run("fairseq-train", *common, *CTC, *TINY_ENCODER, "--max-update", 4, "--save-dir", ctc)
    config = {
        "common": {"user_dir": str(USER_DIR), "cpu": True, "no_progress_bar": True},
        "task": {"_name": "audio_chat", "data": str(data_folder), "llm": str(llm_path)},
        "model": {
            "_name": "audio_prefix_llm",
            "encoder_checkpoint": str(ctc / "checkpoint_last.pt"),
        },
        "criterion": {"_name": "response_distillation"},
        "dataset": {"max_tokens": 1000, "valid_subset": "dev"},
        "optimization": {"max_update": 3, "lr": [0.001]},
        "optimizer": {"_name": "adam"},
        "lr_scheduler": {"_name": "fixed"},
        "checkpoint": {"save_dir": str(chat)},
    }
    hydra_train(config, folder)
    return {"ctc": ctc / "checkpoint_last.pt", "chat": chat / "checkpoint_last.pt"}


def hydra_train(config: dict[str, object], folder: Path) -> None:
    """fairseq-hydra-train from a YAML alone, in a folder that is not the repository."""
    text = "# @package _global_\n" + yaml.safe_dump(config)
    (folder / "tiny.yaml").write_text(text)
    run("fairseq-hydra-train", "--config-dir", folder, "--config-name", "tiny", cwd=folder)


def validate(data: Path, checkpoint: Path, *options: object) -> str:
    common = ["--user-dir", USER_DIR, "--valid-subset", "dev", "--batch-size", 3, "--cpu"]
    return run("fairseq-validate", data, *common, "--path", checkpoint, *options)


def test_distillation_starts_from_the_ctc_encoder_and_takes_its_size(checkpoints):
    ctc = torch.load(checkpoints["ctc"], weights_only=True)["model"]
    chat_checkpoint = torch.load(checkpoints["chat"], weights_only=True)
    chat = chat_checkpoint["model"]
    assert {key for key in chat if key.startswith("encoder.audio_encoder.")} == {
        "encoder.audio_encoder." + key[len("encoder.") :]
        for key in ctc
        if key.startswith("encoder.")
    }
    # Three updates of at most about 1e-3 each
    name = "layers.0.attention.output.weight"
    moved = (chat["encoder.audio_encoder." + name] - ctc["encoder." + name]).abs().max()
    assert 0 < moved < 5e-3
    assert chat_checkpoint["cfg"]["model"]["encoder_width"] == 32


def test_checkpoint_holds_no_tensor_of_the_llm(checkpoints):
    keys = torch.load(checkpoints["chat"], weights_only=True)["model"]
    assert not [key for key in keys if "llm" in key and key != "llm_version"]


def test_validation_of_the_three_arms_of_table_2(checkpoints, data_folder, llm_path):
    options = ["--task", "audio_chat", "--llm", llm_path]
    audio = validate(data_folder, checkpoints["chat"], *options)
    text = validate(data_folder, checkpoints["chat"], *options, "--prompt", "text")
    cascade = validate(
        data_folder,
        checkpoints["chat"],
        *options,
        *("--prompt", "cascade", "--asr-checkpoint", checkpoints["ctc"]),
    )
    losses = [logged(output, "loss") for output in (audio, text, cascade)]
    assert len(set(losses)) == 3
    assert logged(cascade, "prompt_wer") > 50  # after four updates it recognises nothing
    assert all(logged(output, "wpb") == logged(audio, "wpb") for output in (text, cascade))
    assert abs(logged(audio, "ppl") / torch.tensor(losses[0]).exp() - 1) < 1e-3


def test_generation_prints_pieces_and_text(checkpoints, data_folder, llm_path):
    options = ["--task", "audio_chat", "--llm", llm_path, "--path", checkpoints["chat"]]
    output = run(
        "fairseq-generate",
        data_folder,
        *("--user-dir", USER_DIR, *options, "--gen-subset", "dev", "--cpu"),
        *("--beam", 10, "--nbest", 2, "--max-len-b", 6, "--batch-size", 4),
    )
    for kind, count in (("T-", 7), ("H-", 14), ("D-", 14), ("P-", 14)):
        assert sum(line.startswith(kind) for line in output.splitlines()) == count


def test_ctc_training_from_a_yaml_alone(data_folder: Path, tmp_path: Path):
    config = {
        "common": {"user_dir": str(USER_DIR), "cpu": True, "no_progress_bar": True},
        "task": {"_name": "audio_ctc", "data": str(data_folder)},
        "model": {"_name": "conformer_ctc", "encoder_layers": 1, "encoder_width": 16},
        "criterion": {"_name": "audio_ctc"},
        "dataset": {"max_tokens": 1000, "valid_subset": "dev", "num_workers": 0},
        "optimization": {"max_update": 1, "lr": [0.001]},
        "optimizer": {"_name": "adam"},
        "lr_scheduler": {"_name": "fixed"},
        "checkpoint": {"save_dir": str(tmp_path / "checkpoints")},
    }
    hydra_train(config, tmp_path)
    saved = torch.load(tmp_path / "checkpoints/checkpoint_last.pt", weights_only=True)
    assert saved["cfg"]["model"]["encoder_layers"] == 1
    assert saved["model"]["encoder.layers.0.norm.weight"].shape == (16,)
    assert saved["task_state"]["vocabulary"].dtype == torch.uint8
