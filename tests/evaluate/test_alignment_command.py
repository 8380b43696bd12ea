"""Figure 3 by its command: a curve over checkpoints, heat maps, and what survives a kill."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu

from fairseq_audiochat.data.manifest import write_manifest
from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.alignment.cosine_record import read_cosines
from fairseq_audiochat.evaluate.alignment.plot import _name

ARMS = ("e2e 1", "e2e 2")


@pytest.fixture(scope="module")
def training(tmp_path_factory, checkpoints) -> Path:
    """A folder as fairseq leaves it: checkpoints at updates 1 and 5, and copies of the last."""
    folder = tmp_path_factory.mktemp("checkpoints") / "chat"
    folder.mkdir()
    shutil.copy(checkpoints["chat"], folder / "checkpoint1.pt")
    state = load_checkpoint_to_cpu(str(checkpoints["chat"]))
    state["optimizer_history"][-1]["num_updates"] = 5
    weight = state["model"]["encoder.adapter.projection.weight"]
    weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * weight.std()
    torch.save(state, folder / "checkpoint2.pt")
    for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
        shutil.copy(folder / "checkpoint2.pt", folder / name)
    return folder


def arguments(output, llm, data, end_to_end, *more):
    words = ["alignment", "--llm", llm, "--output", output, "--test-set", f"dev={data}/dev.tsv"]
    return [*words, "--end-to-end", f"e2e={end_to_end}", "--batch-size", 3, *more]


def evaluate(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def output(tmp_path_factory, llm_path, data_folder, training):
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    assert evaluate(*arguments(folder, llm_path, data_folder, training, "--draw", "dev-2")) == 0
    return folder


def test_a_folder_is_a_curve_and_copies_count_once(output):
    found = json.loads((output / "alignment.json").read_text())["dev"]
    assert {name: arm["updates"] for name, arm in found["arms"].items()} == dict(zip(ARMS, (1, 5)))
    assert (output / "alignment.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_are_sums_over_the_records(output):
    """Worked out here anew, from the records of one arm."""
    found = json.loads((output / "alignment.json").read_text())["dev"]["arms"][ARMS[1]]
    records = read(output / f"alignment/dev/{ARMS[1]}.jsonl")
    assert found["utterances"] == len(records) == 7
    tokens = sum(record["counts"]["tokens"] for record in records)
    for measure, above in (
        ("best_cosine", "cosine_sum"),
        ("hit_rate", "hits"),
        ("near_hit_rate", "near_hits"),
    ):
        own = sum(record["counts"][above] for record in records) / tokens
        chance = sum(record["chance"][above] for record in records) / tokens
        assert found["measures"][measure]["value"] == pytest.approx(own)
        assert found["measures"][measure]["chance"] == pytest.approx(chance)
        assert found["measures"][measure]["difference"] == pytest.approx(own - chance)
        low, high = found["measures"][measure]["value_interval"]
        assert low <= own <= high
    correlations = [
        record["counts"]["correlation_sum"] for record in records if record["counts"]["ordered"]
    ]
    mean = sum(correlations) / len(correlations)
    assert found["measures"]["monotonicity"]["value"] == pytest.approx(mean)


def test_table(output, capsys):
    lines = (output / "alignment.md").read_text().splitlines()
    assert lines[0].startswith("## dev: 7 utterances, ")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:6]]
    titles = ["monotonicity", "best cosine", "hits", "hits in 10"]
    assert cells[0] == [
        "checkpoint",
        "updates",
        *(cell for title in titles for cell in (title, "chance")),
    ]
    assert [row[:2] for row in cells[2:]] == [["e2e 1", "1"], ["e2e 2", "5"]]


def test_heat_maps_of_every_checkpoint(output):
    for arm in ARMS:
        pictures = {path.name for path in (output / "alignment/dev" / arm).iterdir()}
        assert pictures == {"2_dev-2.json", "2_dev-2.png"}
    first, second = (read_cosines(output / f"alignment/dev/{a}/2_dev-2.json") for a in ARMS)
    assert first.labels == second.labels
    assert first.title == second.title
    assert first.title.endswith(" (dev-2)")
    assert (first.cosines != second.cosines).any()
    assert first.seconds_per_position == 0.08
    assert first.cosines.shape[1] == -(-round(first.seconds * 100) // 8)


def test_report_needs_the_records_alone(output, tmp_path, llm_path, data_folder):
    """Another command, which knows nothing of these checkpoints, may write into the folder too."""
    copy = shutil.copytree(output, tmp_path / "out")
    words = ["--llm", llm_path, "--output", copy, "--test-set", f"dev={data_folder}/dev.tsv"]
    assert evaluate("perplexity", *words) == 0
    pictures = list(copy.glob("**/*.png"))
    assert len(pictures) == 4  # two heat maps, the curve, and that of the other command
    for path in (*pictures, copy / "alignment.md", copy / "alignment.json"):
        path.unlink()
    assert evaluate("report", copy) == 0
    for path in ("alignment.md", "alignment.json"):
        assert (copy / path).read_bytes() == (output / path).read_bytes()
    assert all(path.is_file() for path in pictures)


def test_a_run_that_was_cut_ends_as_one_that_was_not(
    output, tmp_path, llm_path, data_folder, training
):
    copy = shutil.copytree(output, tmp_path / "out")
    cut = copy / f"alignment/dev/{ARMS[0]}.jsonl"
    cut.write_bytes(cut.read_bytes()[:700])
    (copy / f"alignment/dev/{ARMS[1]}.jsonl").unlink()
    (copy / f"alignment/dev/{ARMS[1]}/2_dev-2.json").unlink()
    assert evaluate(*arguments(copy, llm_path, data_folder, training, "--draw", "dev-2")) == 0
    for path in (cut, copy / "alignment.json", copy / f"alignment/dev/{ARMS[1]}/2_dev-2.json"):
        assert path.read_bytes() == (output / path.relative_to(copy)).read_bytes()


def test_a_report_in_the_middle_of_a_run(output, tmp_path, capsys):
    """Whole lines count, and what is missing is said."""
    copy = shutil.copytree(output, tmp_path / "out")
    (copy / f"alignment/dev/{ARMS[0]}.jsonl").unlink()
    path = copy / f"alignment/dev/{ARMS[1]}.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert evaluate("report", copy) == 0
    printed = capsys.readouterr().out
    assert "## dev: 3 utterances, " in printed
    assert "4 utterances of e2e 2 are not measured yet: its run was stopped." in printed
    path.unlink()
    assert "none was before the run was stopped; give its command ag" in refused(
        capsys, "report", copy
    )


def test_another_number_of_nearest_entries_needs_another_folder(
    output, tmp_path, llm_path, data_folder, training, capsys
):
    copy = shutil.copytree(output, tmp_path / "out")
    words = arguments(copy, llm_path, data_folder, training, "--nearest", 5)
    assert "but differs in alignment; give another --output" in refused(capsys, *words)


def test_single_words_and_empty_transcripts(tmp_path, llm_path, checkpoints, capsys):
    """No order and no control: said, and no division by zero."""
    rows = tiny.make_manifest(tmp_path, "dev", 3)
    rows = [row._replace(text=text) for row, text in zip(rows, ("it", " ", "it"))]
    write_manifest(tmp_path / "dev.tsv", rows)
    words = arguments(tmp_path / "out", llm_path, tmp_path, checkpoints["chat"])
    assert evaluate(*words) == 0
    printed = capsys.readouterr().out
    assert "1 utterances are left out: dev-1 (empty transcript)." in printed
    assert "2 utterances have no control: no other one says anything else." in printed
    assert (tmp_path / "out/alignment/dev/e2e/0_dev-0.png").is_file()  # by its row: the default
    found = json.loads((tmp_path / "out/alignment.json").read_text())["dev"]["arms"]["e2e"]
    order = found["measures"]["monotonicity"]
    assert set(order.values()) == {None}
    assert found["measures"]["best_cosine"]["chance"] is None


def refused(capsys, *words):
    assert evaluate(*words) == 2
    error = capsys.readouterr().err
    return error[error.index("error: ") :]


def test_mistakes_end_in_one_sentence(tmp_path, llm_path, data_folder, checkpoints, capsys):
    words = arguments(tmp_path / "out", llm_path, data_folder, checkpoints["chat"])
    unknown = refused(capsys, *words, "--draw", "0", "--draw", "nobody")
    assert "--draw must name an utterance by its id or its row from 0, but is 'nobody'" in unknown
    assert "dev.tsv does not hold" in unknown
    assert "'7', which" in refused(capsys, *words, "--draw", "7")
    nearest = refused(capsys, *words, "--nearest", "0")
    assert "--nearest must be a positive integer, but is 0." in nearest
    without = refused(capsys, *words[:-4])
    assert "--end-to-end must be given at least once, but is not; name a checkpoint" in without
    (tmp_path / "empty").mkdir()
    empty = refused(capsys, *arguments(tmp_path / "out", llm_path, data_folder, tmp_path / "empty"))
    assert "the folder must hold checkpoints (checkpoint*.pt), but holds none" in empty
    assert not (tmp_path / "out").exists()


def test_a_line_is_called_what_its_checkpoints_names_begin_with():
    assert _name(["18l 1_500", "18l 2_1000", "18l best"]) == "18l"
    assert _name(["18l best"]) == "18l best"
    assert _name(["a", "b"]) == "a"
