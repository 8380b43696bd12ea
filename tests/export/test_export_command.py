"""What cannot be exported is refused in one sentence, and leaves nothing behind."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch

from fairseq_audiochat.export.__main__ import main, parser
from fairseq_audiochat.export.folder import read_folder

Trained = dict[str, Path]


@pytest.fixture
def refused(tmp_path: Path, capsys):
    """Runs the command on something bad; gives what it says."""

    def run(source: Path, *options: object, target: Path = tmp_path / "published") -> str:
        capsys.readouterr()
        assert main([str(source), str(target), *map(str, options)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert not (tmp_path / "published").exists()
        assert not (tmp_path / "published.unfinished_export").exists()
        return said

    return run


def changed(checkpoint: Path, path: Path, change) -> Path:
    """A checkpoint in which something is otherwise."""
    state = torch.load(checkpoint, weights_only=True)
    change(state)
    torch.save(state, path)
    return path


def test_docs_list_every_option():
    docs = (Path(__file__).parents[2] / "docs/chat.md").read_text(encoding="utf-8")
    options = {flag for action in parser()._actions for flag in action.option_strings}
    options -= {"-h", "--help"}
    assert {option for option in options if f"`{option}" not in docs} == set()


def test_no_checkpoint(refused, tmp_path: Path, trained: Trained):
    assert "none.pt: the checkpoint must be a file that exists, but is not" in refused(
        tmp_path / "none.pt"
    )
    assert "must be a file that exists, but is not" in refused(tmp_path)
    (tmp_path / "text.pt").write_text("no checkpoint")
    assert "text.pt: must be a whole checkpoint of fairseq-train, but: " in refused(
        tmp_path / "text.pt"
    )
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    assert "must be a whole checkpoint of fairseq-train, but: 'model'" in refused(
        tmp_path / "other.pt"
    )
    half = trained["ctc"].read_bytes()[:100_000]
    (tmp_path / "half.pt").write_bytes(half)
    assert "half.pt: must be a whole checkpoint of fairseq-train, but: " in refused(
        tmp_path / "half.pt"
    )


def test_code_in_a_checkpoint_does_not_run(refused, tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    assert "must be a whole checkpoint" in refused(tmp_path / "trap.pt")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_model(refused, tmp_path: Path, trained: Trained):
    def change(state):
        state["cfg"]["model"]["_name"] = "transformer"

    other = changed(trained["ctc"], tmp_path / "other.pt", change)
    message = "must be one of audio_prefix_llm or conformer_ctc, but is one of 'transformer'"
    assert message in refused(other)


def test_the_llm_is_missing_or_another(refused, tmp_path: Path, trained: Trained):
    def move(state):
        state["cfg"]["task"]["llm"] = str(tmp_path / "moved")

    moved = changed(trained["chat"], tmp_path / "moved.pt", move)
    assert f"{tmp_path / 'moved'}: the LLM must be a folder with config.json" in refused(moved)
    other = tiny.make_llm(tmp_path / "other", seed=1)
    said = refused(trained["chat"], "--llm", other)
    assert f"{other}: the LLM must be the one that {trained['chat']} was trained with" in said
    assert "but differs: tokenizer" in said


def test_a_moved_llm_is_named(trained: Trained, llm_path: Path, tmp_path: Path, capsys):
    shutil.copytree(llm_path, tmp_path / "Moved-LLM")
    options = ["--llm", str(tmp_path / "Moved-LLM")]
    assert main([str(trained["chat"]), str(tmp_path / "published"), *options]) == 0
    assert "audio_prefix_llm for Moved-LLM, 41,184 parameters, 3 updates" in capsys.readouterr().out


def test_a_checkpoint_from_before_an_option_has_its_default(trained: Trained, tmp_path: Path):
    def forget(state):
        del state["cfg"]["model"]["encoder_dtype"], state["cfg"]["task"]["llm_quantisation"]

    old = changed(trained["chat"], tmp_path / "old.pt", forget)
    assert main([str(old), str(tmp_path / "published")]) == 0
    description = read_folder(tmp_path / "published").description
    assert description.model["encoder_dtype"] == "float32"
    assert description.task == {"llm_dtype": "float32", "llm_quantisation": "none"}


def test_a_checkpoint_that_does_not_say_what_it_belongs_to(
    refused, tmp_path: Path, trained: Trained
):
    """As those of early versions."""
    no_llm = changed(trained["chat"], tmp_path / "1.pt", lambda s: s["model"].pop("llm_version"))
    message = "audio_prefix_llm must hold the fingerprint of its LLM, but holds none; train it with"
    assert message in refused(no_llm)
    no_pieces = changed(
        trained["ctc"], tmp_path / "2.pt", lambda s: s["task_state"].pop("vocabulary")
    )
    assert "conformer_ctc must hold its vocabulary, but holds none" in refused(no_pieces)


def test_no_average_in_the_checkpoint(refused, trained: Trained):
    message = (
        "must hold an average of its weights for --ema, but holds none; train with --store-ema"
    )
    assert message in refused(trained["ctc"], "--ema")


def test_weights_that_are_no_numbers_in_a_dtype(refused, tmp_path: Path, trained: Trained):
    def change(state):
        state["model"]["head.bias"][0] = 1e6  # float16 ends at 65,504

    large = changed(trained["ctc"], tmp_path / "large.pt", change)
    said = refused(large, "--dtype", "float16")
    assert (
        "weights must be finite in float16, but 'head.bias' has some that are not (finite)" in said
    )

    def break_it(state):
        state["model"]["head.bias"][0] = float("nan")

    broken = changed(trained["ctc"], tmp_path / "broken.pt", break_it)
    assert "(not finite in the checkpoint); use another --dtype or checkpoint" in refused(broken)


def test_a_checkpoint_that_lacks_a_tensor(refused, tmp_path: Path, trained: Trained):
    lacking = changed(
        trained["ctc"], tmp_path / "lacking.pt", lambda state: state["model"].pop("head.bias")
    )
    assert "tensors that config.json describes, but 1 are missing" in refused(lacking)


def test_nothing_is_overwritten(trained: Trained, tmp_path: Path, capsys):
    there = tmp_path / "there"
    there.mkdir()
    assert main([str(trained["ctc"]), str(there)]) == 2
    assert (
        f"{there}: must not exist yet, but does; nothing is overwritten" in capsys.readouterr().err
    )
    assert list(there.iterdir()) == []


def test_back_comes_alone(exported: Trained, refused):
    said = refused(exported["ctc"], "--back", "--dtype", "float16")
    assert "--back must come alone, with FOLDER and CHECKPOINT" in said
