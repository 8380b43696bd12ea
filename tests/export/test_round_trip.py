"""What was exported is what was trained, to the bit, in every command that reads checkpoints."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from command_line import CHAT
from fairseq import checkpoint_utils
from in_process import Commands, train
from safetensors.torch import load_file

from fairseq_audiochat.export.__main__ import main

Trained = dict[str, Path]


def stored(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The model's tensors in a checkpoint's file."""
    return torch.load(checkpoint, weights_only=True)["model"]


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert set(one) == set(other)
    assert all(one[name].dtype == other[name].dtype for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["ctc", "chat"])
def test_tensors_are_those_of_the_checkpoint(trained: Trained, exported: Trained, kind: str):
    in_checkpoint = stored(trained[kind])
    read = checkpoint_utils.load_checkpoint_to_cpu(str(exported[kind]))
    assert_same(read["model"], in_checkpoint)
    in_checkpoint.pop("llm_version", None)  # the fingerprint stands in config.json
    assert_same(load_file(exported[kind] / "model.safetensors"), in_checkpoint)


def test_vocabulary_is_a_file_that_sentencepiece_reads(exported: Trained, data_folder: Path):
    assert (exported["ctc"] / "spm.model").read_bytes() == (data_folder / "spm.model").read_bytes()
    assert not (exported["chat"] / "spm.model").exists()


def test_perplexity_and_answers_are_those_of_the_checkpoint(
    commands: Commands, trained: Trained, exported: Trained, llm_path: Path
):
    options = ["--task", "audio_chat", "--llm", llm_path]
    search = ["--beam", 3, "--nbest", 2, "--max-len-b", 8]
    found = []
    for path in (trained["chat"], exported["chat"]):
        scores = commands.validate(*options, "--path", path)
        found.append((scores, commands.generate(*options, *search, "--path", path)))
    assert found[0] == found[1]
    assert found[0][0]["ppl"] > 1
    assert sum(line.startswith("D-") for line in found[0][1]) == 7 * 2  # utterances, nbest


def test_the_cascade_recognises_with_the_folder(
    commands: Commands, trained: Trained, exported: Trained, llm_path: Path
):
    options = ["--task", "audio_chat", "--llm", llm_path, "--path", exported["chat"]]
    scores = [
        commands.validate(*options, "--prompt", "cascade", "--asr-checkpoint", path)
        for path in (trained["ctc"], exported["ctc"])
    ]
    assert scores[0] == scores[1]
    assert scores[0]["prompt_wer"] > 0


def test_word_errors_are_those_of_the_checkpoint(
    commands: Commands, trained: Trained, exported: Trained
):
    options = ["--task", "audio_ctc", "--path"]
    scores = [commands.validate(*options, path) for path in (trained["ctc"], exported["ctc"])]
    assert scores[0] == scores[1]
    assert scores[0]["wer"] > 0


def test_distillation_starts_from_the_folder(
    trained: Trained, exported: Trained, data_folder: Path, llm_path: Path, tmp_path: Path
):
    """A learning rate of 0: what it starts from is what it ends with."""
    options = [*CHAT, "--llm", llm_path, "--max-update", 1, "--lr", 0, "--encoder-checkpoint"]
    started = stored(train(data_folder, tmp_path, *options, exported["ctc"]))
    for name, tensor in stored(trained["ctc"]).items():
        if name.startswith("encoder."):
            assert torch.equal(
                started[name.replace("encoder.", "encoder.audio_encoder.", 1)], tensor
            )


def test_back_as_a_checkpoint_that_training_goes_on_from(
    trained: Trained, exported: Trained, data_folder: Path, llm_path: Path, tmp_path: Path, capsys
):
    back = tmp_path / "back.pt"
    assert main(["--back", str(exported["chat"]), str(back)]) == 0
    assert re.search(
        rf"{back}: audio_prefix_llm for Tiny-LLM, 41,184 .* MB", capsys.readouterr().out
    )
    assert_same(stored(back), stored(trained["chat"]))
    options = [*CHAT, "--llm", llm_path, "--stack-frames", 2, "--max-update", 1, "--lr", 0]
    tuned = train(data_folder, tmp_path / "tuned", *options, "--finetune-from-model", back)
    assert_same(stored(tuned), stored(trained["chat"]))
    assert main(["--back", str(exported["chat"]), str(back)]) == 2
    assert f"{back}: must not exist yet, but does" in capsys.readouterr().err


def test_half_the_size_in_half_precision(trained: Trained, exported: Trained, tmp_path: Path):
    assert main([str(trained["chat"]), str(tmp_path / "half"), "--dtype", "bfloat16"]) == 0
    full, half = exported["chat"] / "model.safetensors", tmp_path / "half/model.safetensors"
    assert full.stat().st_size - half.stat().st_size == 2 * 41_184  # 2 bytes for each parameter
    rounded = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "half"))["model"]
    for name, tensor in load_file(full).items():
        assert torch.equal(rounded[name], tensor.bfloat16().float())


def test_the_average_of_the_weights(trained: Trained, tmp_path: Path):
    assert main([str(trained["chat"]), str(tmp_path / "average"), "--ema"]) == 0
    average = torch.load(trained["chat"], weights_only=True)["extra_state"]["ema"]
    read = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "average"))["model"]
    assert_same(read, average)
    name = "encoder.adapter.projection.weight"
    assert not torch.equal(read[name], stored(trained["chat"])[name])


def test_the_same_checkpoint_gives_the_same_files(trained: Trained, exported: Trained, tmp_path):
    assert main([str(trained["chat"]), str(tmp_path / "again"), "--llm-name", "Tiny-LLM"]) == 0
    for path in exported["chat"].iterdir():
        again = tmp_path / "again" / path.name
        assert again.read_bytes() == path.read_bytes()
        assert again.stat().st_mode & 0o777 == (tmp_path / "again").stat().st_mode & 0o666


def test_nothing_tells_where_it_was_made(exported: Trained, data_folder: Path, llm_path: Path):
    for folder in exported.values():
        # SentencePiece's own trainer notes where it wrote; train_vocabulary.py does not
        files = [path for path in folder.iterdir() if path.name != "spm.model"]
        text = b"".join(path.read_bytes() for path in files)
        for place in (data_folder, llm_path, folder):
            assert str(place.parent).encode() not in text


def test_the_card_says_what_it_is_and_its_command_runs(
    commands: Commands, trained: Trained, exported: Trained, llm_path: Path, tmp_path: Path
):
    options = ["--llm-name", "Tiny-LLM", "--license", 'a "special": one']
    assert main([str(trained["chat"]), str(tmp_path / "licensed"), *options]) == 0
    card = (tmp_path / "licensed/README.md").read_text(encoding="utf-8")
    assert 'license: "a \\"special\\": one"\n' in card
    assert '## License\n\na "special": one\n' in card
    for fact in ("belong to **Tiny-LLM**", "| Parameters | 41,184 |", "160 ms", "llama2_chat/1"):
        assert fact in card
    for kind in ("chat", "ctc"):
        unlicensed = (exported[kind] / "README.md").read_text(encoding="utf-8")
        assert "## License\n\nNot stated yet: fill it in before you publish.\n" in unlicensed
        assert "{" not in unlicensed
    typed = re.search(r"\n(fairseq-generate .*?)\n```", card, re.DOTALL)[1].replace("\\\n", " ")
    typed = typed.replace("/path/to/Tiny-LLM", str(llm_path)).replace("--gen-subset test", "")
    arguments = shlex.split(typed.replace("THIS_FOLDER", str(tmp_path / "licensed")))
    assert arguments[:4] == ["fairseq-generate", "data", "--user-dir", "$USER_DIR"]
    assert sum(line.startswith("D-") for line in commands.generate(*arguments[4:])) == 7
