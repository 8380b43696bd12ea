"""Distorted test sets by their command, on tiny checkpoints: on the fly, and as a copy on disk."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from fairseq_audiochat.data.audio import SAMPLE_RATE, read_audio
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.distortion.specification import parse_distortion
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.robustness.distortions import folder_name
from fairseq_audiochat.modules import frozen_llm

REFERENCE = "reference text"
DISTORTIONS = ("noise:0", "noise:20", "speed:0.8", "reverb:0.3+noise:10")


def evaluate(command, *words):
    return main([command, *map(str, words)])


def arguments(output, llm, data, checkpoints, *more):
    return [
        *("--llm", llm, "--output", output, "--test-set", f"dev={data}/dev.tsv"),
        *("--end-to-end", f"e2e={checkpoints['chat']}", "--cascade", f"ctc={checkpoints['ctc']}"),
        *("--batch-size", 3, *more),
    ]


def asked(*distortions):
    return [word for name in distortions for word in ("--distortion", name)]


@pytest.fixture(scope="module")
def output(tmp_path_factory, llm_path, data_folder, checkpoints):
    folder = tmp_path_factory.mktemp("robustness") / "out"
    words = arguments(folder, llm_path, data_folder, checkpoints, *asked(*DISTORTIONS))
    assert evaluate("robustness", *words, "--by", "speaker") == 0
    return folder


def test_clean_is_what_perplexity_finds(output, tmp_path, llm_path, data_folder, checkpoints):
    words = arguments(tmp_path / "out", llm_path, data_folder, checkpoints)
    assert evaluate("perplexity", *words) == 0
    expected = json.loads((tmp_path / "out/perplexity.json").read_text())["dev"]["arms"]
    found = json.loads((output / "robustness.json").read_text())["dev"]
    assert found["distortions"]["clean"] == {arm: expected[arm] for arm in ("e2e", "ctc")}
    assert found["unheard"][REFERENCE]["perplexity"] == expected[REFERENCE]["perplexity"]
    assert found["utterances"] == 7


@pytest.mark.parametrize("name", ["speed:0.8", "reverb:0.3+noise:10"])
def test_on_the_fly_equals_a_distorted_copy(
    name, output, tmp_path, llm_path, data_folder, checkpoints
):
    """Table 2 of a data folder whose files were distorted."""
    data = shutil.copytree(data_folder, tmp_path / "data")
    manifest, distortion = Manifest(data / "dev.tsv"), parse_distortion(name, 1)
    for row in map(manifest.__getitem__, range(len(manifest))):
        samples = distortion(read_audio(row.audio), row.id)
        soundfile.write(row.audio, samples, SAMPLE_RATE, subtype="FLOAT")
    words = arguments(tmp_path / "out", llm_path, data, checkpoints)
    assert evaluate("perplexity", *words) == 0
    for arm in ("e2e", "ctc"):
        copied = read(tmp_path / f"out/scores/dev/{arm}.jsonl")
        flying = read(output / "robustness" / folder_name(name) / f"scores/dev/{arm}.jsonl")
        assert flying == copied


def test_every_distortion_changes_what_is_heard(output):
    found = json.loads((output / "robustness.json").read_text())["dev"]["distortions"]
    assert list(found) == ["clean", *DISTORTIONS]
    perplexities = [arms["e2e"]["perplexity"] for arms in found.values()]
    assert len(set(perplexities)) == len(perplexities)
    assert all(set(arms) == {"e2e", "ctc"} for arms in found.values())
    reference = output / "robustness"
    assert (reference / "clean/scores/dev" / f"{REFERENCE}.jsonl").is_file()
    assert not (reference / "noise:0/scores/dev" / f"{REFERENCE}.jsonl").exists()


def test_tables(output):
    text = (output / "robustness.md").read_text()
    head = text.splitlines()[2]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "recordings",
        "perplexity: e2e",
        "perplexity: ctc",
        "WER %: ctc",
    ]
    assert "Perplexity without recordings: reference text " in text
    assert "### Perplexity: e2e by speaker" in text
    assert "### WER %: ctc by speaker" in text
    groups = json.loads((output / "robustness.json").read_text())["dev"]["by"]["speaker"]
    assert {group: found["utterances"] for group, found in groups.items()} == {
        "speaker0": 4,  # of 7, every other one
        "speaker1": 3,
    }
    assert (output / "robustness.png").read_bytes().startswith(b"\x89PNG")


def test_report_needs_the_records_alone(output, tmp_path):
    copy = shutil.copytree(output, tmp_path / "out")
    made = ("robustness.md", "robustness.json", "robustness.png")
    for name in made:
        (copy / name).unlink()
    assert evaluate("report", copy) == 0
    for name in made[:2]:
        assert (copy / name).read_bytes() == (output / name).read_bytes()
    assert (copy / "robustness.png").is_file()


def test_a_run_that_was_cut_ends_as_one_that_was_not(
    output, tmp_path, llm_path, data_folder, checkpoints
):
    copy = shutil.copytree(output, tmp_path / "out")
    cut = (
        "robustness/noise:0/scores/dev/e2e.jsonl",
        "robustness/speed:0.8/transcripts/dev/ctc.jsonl",
    )
    for name in cut:
        (copy / name).write_bytes((copy / name).read_bytes()[:250])
    shutil.rmtree(copy / "robustness/reverb:0.3+noise:10")
    words = arguments(copy, llm_path, data_folder, checkpoints, *asked(*DISTORTIONS))
    assert evaluate("robustness", *words, "--by", "speaker") == 0
    for name in (*cut, "robustness.json", "robustness.md"):
        assert (copy / name).read_bytes() == (output / name).read_bytes()


def test_other_noise_under_the_same_name_is_refused(
    output, tmp_path, llm_path, data_folder, checkpoints, capsys
):
    copy = shutil.copytree(output, tmp_path / "out")
    words = arguments(copy, llm_path, data_folder, checkpoints, *asked("noise:0"), "--seed", 2)
    assert evaluate("robustness", *words) == 2
    assert "differs in distortions: clean, distortions: noise:0" in capsys.readouterr().err


def test_an_utterance_that_is_too_long_at_one_speed_is_left_out_of_all(
    output, tmp_path, llm_path, data_folder, checkpoints, monkeypatch
):
    """A context that holds every prompt as it is, but not twice the frames of every recording."""
    template = load_template(llm_path)
    manifest = Manifest(data_folder / "dev.tsv")
    responses = Responses(data_folder / "dev.responses.jsonl", manifest)
    around = len(template.prompt(Conversation.of_audio())) - 1
    audio = around + -(-manifest.n_frames // 8)
    room = int(max(np.max(audio + responses.lengths()), np.max(_text_positions(responses))))
    slow = around + -(-2 * manifest.n_frames // 8) + responses.lengths() > room
    assert 0 < slow.sum() < 7
    monkeypatch.setattr(frozen_llm, "max_positions", lambda config: room)
    words = arguments(tmp_path / "out", llm_path, data_folder, checkpoints, *asked("speed:0.5"))
    assert evaluate("robustness", *words) == 0
    found = json.loads((tmp_path / "out/robustness.json").read_text())["dev"]
    assert {entry["id"] for entry in found["excluded"]} == {
        manifest[row].id for row in np.flatnonzero(slow)
    }
    assert all(
        (entry["distortion"], entry["arm"]) == ("speed:0.5", "e2e") for entry in found["excluded"]
    )
    assert found["utterances"] == 7 - slow.sum()
    tokens = {arms["ctc"]["tokens"] for arms in found["distortions"].values()}
    assert len(tokens) == 1  # the same utterances under every distortion
    note = f"{slow.sum()} utterances are left out of everything: dev-"
    assert note in (tmp_path / "out/robustness.md").read_text()


def _text_positions(responses):
    return responses.prompt_lengths() + responses.lengths()


def test_distortions_and_arms_are_added_to_what_is_there(
    tmp_path, llm_path, data_folder, checkpoints
):
    """... and an arm that was not scored under one of them leaves a cell empty, with a note."""
    words = ["--llm", llm_path, "--output", tmp_path / "out"]
    words += ["--test-set", f"dev={data_folder}/dev.tsv"]
    ctc = ["--cascade", f"ctc={checkpoints['ctc']}"]
    e2e = ["--end-to-end", f"e2e={checkpoints['chat']}"]
    assert evaluate("robustness", *words, *ctc, *asked("noise:0")) == 0
    assert evaluate("robustness", *words, *e2e, *asked("noise:20", "telephone")) == 0
    found = json.loads((tmp_path / "out/robustness.json").read_text())["dev"]
    assert {name: set(arms) for name, arms in found["distortions"].items()} == {
        "clean": {"ctc", "e2e"},
        "noise:0": {"ctc"},
        "noise:20": {"e2e"},
        "telephone": {"e2e"},
    }
    assert found["missing"] == {"noise:0": ["e2e"], "noise:20": ["ctc"], "telephone": ["ctc"]}
    text = (tmp_path / "out/robustness.md").read_text()
    assert "ctc: not scored under telephone." in text
    (row,) = (line for line in text.splitlines() if line.startswith("| telephone"))
    ctc_perplexity, e2e_perplexity, ctc_wer = (cell.strip() for cell in row.split("|")[2:5])
    assert (ctc_perplexity, ctc_wer) == ("", "")
    assert e2e_perplexity


def refused(capsys, *words):
    assert evaluate("robustness", *words) == 2
    error = capsys.readouterr().err
    return error[error.index("error: ") :]


def test_mistakes_end_in_one_sentence(tmp_path, llm_path, data_folder, checkpoints, capsys):
    words = arguments(tmp_path / "out", llm_path, data_folder, checkpoints)
    assert "a distortion must be clean, noise:DB" in refused(capsys, *words, *asked("echo"))
    deaf = ["--llm", llm_path, "--output", tmp_path / "out"]
    deaf += ["--test-set", data_folder / "dev.tsv"]
    assert "--end-to-end or --cascade must be given at least once" in refused(capsys, *deaf)
    chunks = refused(capsys, *words, "--chunk-seconds", 3)
    assert "--chunk-overlap-seconds must be from 0 to less than --chunk-seconds 3" in chunks
    assert not (tmp_path / "out").exists()


def test_chunks_are_another_way_to_listen(tmp_path, llm_path, data_folder, checkpoints, capsys):
    """Utterances have 1 to 2 s: in chunks of 0.8 s the LLM reads something else."""
    nothing = asked("clean")
    words = arguments(tmp_path / "out", llm_path, data_folder, checkpoints, *nothing)
    chunked = ["--chunk-seconds", 0.8, "--chunk-overlap-seconds", 0.2]
    assert evaluate("robustness", *words) == 0
    assert "differs in arms: e2e, arms: ctc" in refused(capsys, *words, *chunked)
    words[words.index("--output") + 1] = tmp_path / "chunked"
    assert evaluate("robustness", *words, *chunked) == 0
    found = [
        json.loads((tmp_path / name / "robustness.json").read_text())["dev"]["distortions"]["clean"]
        for name in ("out", "chunked")
    ]
    whole, parts = (arms["e2e"]["perplexity"] for arms in found)
    assert not np.isclose(whole, parts, rtol=1e-6)
    made = json.loads((tmp_path / "chunked/run.json").read_text())["arms"]
    assert made["e2e"]["chunks"] == {"frames": 10, "overlap": 2}
    assert "chunks" not in made[REFERENCE]
