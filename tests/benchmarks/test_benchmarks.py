"""What the benchmarks compare is equal, on an LLM small enough for a test."""

import argparse
import importlib
import re
from pathlib import Path

import decoding
import gpu
import long_recordings
import products
import pytest
import random_llm
import scale
import side_by_side
import synthetic_split
import torch
import training
from transformers import LlamaConfig

from fairseq_audiochat.data.manifest import Manifest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """Options that name a tiny LLM."""
    config = LlamaConfig(
        vocab_size=32_000,  # the ids of random batches
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,  # large: predictions that depend on what was read
    )
    monkeypatch.setitem(random_llm.SIZES, "tiny", config)
    return argparse.Namespace(model="tiny", device="cpu", dtype="float32", beams=4, tokens=9)


@pytest.mark.parametrize("name", ["ours", "ours_checkpointed"])
def test_a_training_step_equals_that_of_transformers(tiny: argparse.Namespace, name: str):
    """Packed, chunked, behind a prefix that is read once: padded transformers sees the same."""
    expected_loss, expected = training.make_step("transformers", 3, 5, tiny)()
    loss, gradient = training.make_step(name, 3, 5, tiny)()
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    largest = float(expected.abs().max())
    assert largest > 0
    # fp32: sums over 32,000 classes and hundreds of tokens
    torch.testing.assert_close(gradient, expected, atol=1e-5 * largest, rtol=0)


@torch.no_grad()
def test_searches_find_the_same(tiny: argparse.Namespace):
    prompts = decoding.make_prompts(2, 12, tiny)
    ours, theirs = (make(tiny)(prompts) for make in (decoding.make_ours, decoding.make_peer))
    assert all(len(row) == tiny.beams for row in ours)
    assert ours == theirs


def test_products_are_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(products, "BYTES", 1)
    for rows, one_row in products.PACKINGS:
        products.measure(8, 3_000, torch.float32, rows, one_row, repeats=1)
        shape, dtype, *found, difference = capsys.readouterr().out.strip("| \n").split(" | ")
        assert (shape, dtype) == ("8 to 3,000", "float32")
        assert found[:2] == [str(rows), "one" if one_row else "any"]
        assert float(difference) < 1e-5


def test_turns_are_taken_after_a_first_run():
    calls: list[str] = []
    runs = {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}
    seconds, results = side_by_side.in_turns(runs, repeats=2)
    assert calls == ["a", "b"] * 3
    assert results == {"a": 5, "b": 6}
    assert seconds.keys() == {"a", "b"}


def test_a_peak_counts_what_is_held_for_a_moment_only():
    """In a process of its own: this one may hold as much in reserve."""
    code = f"""import sys
sys.path.insert(0, {str(FOLDER)!r})
import side_by_side, torch
print(side_by_side.peak_megabytes(lambda: torch.ones(64 * 2**18).sum()))  # 64 MiB
"""
    assert 60 < side_by_side.printed_by(["-c", code]) < 80


def test_a_split_that_was_cut_off_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    args = argparse.Namespace(words=[3, 5], response_ids=[2, 4], seed=1)
    monkeypatch.setattr(synthetic_split, "ROWS_PER_BLOCK", 100)
    monkeypatch.setattr(synthetic_split, "TEXTS", 16)
    whole = synthetic_split.write_split(tmp_path / "whole", 450, args)
    with monkeypatch.context() as patch:
        patch.setattr(synthetic_split.os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            synthetic_split.write_split(tmp_path / "parts", 200, args)
    with open(tmp_path / "parts/train.partial", "a") as file:
        file.write("half a line")  # of a block that was not finished
    parts = synthetic_split.write_split(tmp_path / "parts", 450, args)
    for ours, theirs in zip(parts, whole):
        assert ours.read_bytes() == theirs.read_bytes()


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_scale_measures_every_line_of_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    args = argparse.Namespace(words=[3, 5], response_ids=[2, 4], seed=1)
    synthetic_split.write_split(tmp_path, 200, args)
    monkeypatch.setattr(scale, "WORKERS", 1)
    measured = {}
    for measure in scale.MEASURE.values():
        measured.update(measure(tmp_path))
    assert measured.keys() == scale.MEASUREMENTS.keys()
    assert len(scale.open_split(tmp_path).lengths()) == 200


def test_recordings_are_joined_and_recognised_whole_and_in_chunks(
    data_folder: Path, checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
):
    manifest = Manifest(data_folder / "dev.tsv")
    texts = [manifest[row].text for row in range(7)]
    pieces = list(long_recordings.joined(manifest, 0.05))  # 3 s: two or three of 1 to 2 s
    assert 2 <= len(pieces) <= 4
    assert " ".join(texts).startswith(" ".join(text for text, _ in pieces))
    alone = list(long_recordings.joined(manifest, 0.0))
    assert [text for text, _ in alone] == texts
    args = argparse.Namespace(
        checkpoint=checkpoints["ctc"],
        manifest=data_folder / "dev.tsv",
        chunk_seconds=[0.8, 60.0],
        chunk_overlap_seconds=0.4,
    )
    long_recordings.print_recognition([0.05], args)
    _, _, as_they_are, whole, short, long = capsys.readouterr().out.splitlines()
    assert [row.split("|")[2].strip() for row in (as_they_are, whole)] == ["whole", "whole"]
    assert (short.split("|")[2].strip(), long.split("|")[2].strip()) == ("0.8", "60")
    assert whole.split("|")[3:5] == long.split("|")[3:5]  # chunks that hold all of it


def test_the_gpu_benchmark_runs_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Training against its plan, and search, tiny: what is left to a GPU is its figures."""
    monkeypatch.setattr("sys.argv", ["gpu.py", "--tiny", "--device", "cpu"])
    gpu.main()
    output = capsys.readouterr().out
    assert "training: 2 updates of 8 batches" in output
    assert re.search(r"above them planned [\d.]+ MB, measured \d+ MB", output)
    assert re.search(r"ours: [\d.]+ ms per step, \d+ tokens/s", output)


def test_the_floor_of_a_search_step():
    """13.2 GB of weights, and 0.524 MB for each of 4 x (300 + 10 x 32) positions."""
    args = gpu.parser().parse_args([])
    cache = 4 * (300 + 10 * 64 / 2) * 0.524288e6
    assert gpu.step_bytes(random_llm.SIZES["7b"], args) == pytest.approx(13.215e9 + cache, rel=1e-3)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_is_documented_and_can_be_imported(path: Path):
    importlib.import_module(path.stem)
    if path.stem not in ("side_by_side", "random_llm", "synthetic_split"):
        for page in ("README.md", "RESULTS.md"):
            assert f"benchmarks/{path.name}" in (FOLDER / page).read_text(), page
