"""Table 2 by its command, on tiny checkpoints, against what validation finds."""

import json
import math
import shutil

import pytest
import tiny
from fairseq.checkpoint_utils import load_model_ensemble_and_task

from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion
from fairseq_audiochat.data.manifest import Manifest, write_manifest
from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.evaluate.__main__ import main

REFERENCE, NOTHING = "reference text", "nothing in the prompt"


def arguments(output, llm, data, checkpoints, *more):
    return [
        *("perplexity", "--llm", llm, "--output", output, "--test-set", f"dev={data}/dev.tsv"),
        *("--end-to-end", f"e2e={checkpoints['chat']}", "--cascade", f"ctc={checkpoints['ctc']}"),
        *("--nothing", "--batch-size", 3, *more),
    ]


def evaluate(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def output(tmp_path_factory, llm_path, data_folder, checkpoints):
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    words = arguments(folder, llm_path, data_folder, checkpoints, "--by", "wer", "--by", "speaker")
    assert evaluate(*words) == 0
    return folder


@pytest.mark.parametrize(
    ("arm", "prompt"),
    [(REFERENCE, "text"), ("e2e", "audio"), ("ctc", "cascade"), (NOTHING, "none")],
)
def test_equal_to_validation(output, arm, prompt, llm_path, data_folder, checkpoints):
    """What fairseq-validate does, with the task's own data set and criterion, in one batch."""
    asr = str(checkpoints["ctc"]) if prompt == "cascade" else None
    overrides = {"data": str(data_folder), "llm": str(llm_path), "prompt": prompt}
    (model,), _, task = load_model_ensemble_and_task(
        [str(checkpoints["chat"])], overrides | {"asr_checkpoint": asr}
    )
    sample = tiny.batch(task, "dev", list(range(7)))
    loss, tokens, log = task.valid_step(sample, model, ResponseDistillationCriterion(task))
    found = json.loads((output / "perplexity.json").read_text())["dev"]["arms"][arm]
    assert math.log(found["perplexity"]) == pytest.approx(float(loss) / tokens, abs=1e-5)
    if prompt == "cascade":
        wer = 100 * log["prompt_word_errors"] / log["prompt_words"]
        assert found["wer"] == pytest.approx(wer)


def test_every_arm_has_every_utterance_and_the_same_tokens(output, data_folder):
    ids = {row.id for row in map(Manifest(data_folder / "dev.tsv").__getitem__, range(7))}
    tokens = []
    for arm in (REFERENCE, "e2e", "ctc", NOTHING):
        records = read(output / "scores/dev" / f"{arm}.jsonl")
        assert {record["id"] for record in records} == ids
        tokens.append({record["id"]: record["tokens"] for record in records})
    assert all(counts == tokens[0] for counts in tokens)


def test_scores_do_not_depend_on_the_batches(
    output, tmp_path, llm_path, data_folder, checkpoints, capsys
):
    words = arguments(tmp_path / "out", llm_path, data_folder, checkpoints)
    assert evaluate(*words, "--batch-size", 1) == 0
    for arm in (REFERENCE, "e2e", "ctc", NOTHING):
        path = f"scores/dev/{arm}.jsonl"
        one = {record["id"]: record["nats"] for record in read(tmp_path / "out" / path)}
        three = {record["id"]: record["nats"] for record in read(output / path)}
        assert one == pytest.approx(three, rel=1e-4)


def test_a_run_that_was_cut_ends_as_one_that_was_not(
    output, tmp_path, llm_path, data_folder, checkpoints
):
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    for name, size in (("scores/dev/e2e.jsonl", 300), ("transcripts/dev/ctc.jsonl", 90)):
        (copy / name).write_bytes((copy / name).read_bytes()[:size])
    (copy / f"scores/dev/{NOTHING}.jsonl").unlink()
    words = arguments(copy, llm_path, data_folder, checkpoints, "--by", "wer", "--by", "speaker")
    assert evaluate(*words) == 0
    for name in ("scores/dev/e2e.jsonl", f"scores/dev/{NOTHING}.jsonl", "perplexity.json"):
        assert (copy / name).read_bytes() == (output / name).read_bytes()


def test_report_needs_the_records_alone(output, tmp_path, capsys):
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    made = ("perplexity.md", "perplexity.json", "perplexity.png")
    for name in made:
        (copy / name).unlink()
    assert evaluate("report", copy) == 0
    for name in made[:2]:
        assert (copy / name).read_bytes() == (output / name).read_bytes()
    assert (copy / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith("## dev: 7 utterances")


def test_run_record_names_what_was_read(output, checkpoints):
    made = json.loads((output / "run.json").read_text())
    assert made["arms"]["e2e"]["updates"] == 1
    assert len(made["arms"]["ctc"]["sha256"]) == 64
    assert set(made["test_sets"]["dev"]["sha256"]) == {"dev.tsv", "dev.responses.jsonl"}
    assert made["llm"]["dtype"] == "float32"
    assert made["perplexity"] == {"by": ["wer", "speaker"]}


def test_an_utterance_that_does_not_fit_is_left_out_of_all(tmp_path, data_folder, capsys):
    """A context that holds the prompts of the shorter utterances, with their responses."""
    lines = (data_folder / "dev.responses.jsonl").read_text().splitlines()[1:]
    answered = map(json.loads, lines)
    needed = sorted(len(made["prompt"]) + len(made["response"]) + 1 for made in answered)
    llm = tiny.make_llm(tmp_path / "llm", max_position_embeddings=needed[3])
    data = tiny.make_data(tmp_path / "data", llm, dev=7)
    words = ["--llm", llm, "--output", tmp_path / "out", "--test-set", f"dev={data}/dev.tsv"]
    assert evaluate("perplexity", *words) == 0
    found = json.loads((tmp_path / "out/perplexity.json").read_text())["dev"]
    excluded = found["excluded"]
    assert found["utterances"] + len(excluded) == 7
    assert 0 < len(excluded) < 7
    assert all(f"positions of the LLM's {needed[3]}" in entry["reason"] for entry in excluded)
    note = f"{len(excluded)} utterances are left out of every arm"
    assert note in capsys.readouterr().out


def test_a_transcript_without_words_is_not_scored_but_named(
    tmp_path, llm_path, data_folder, checkpoints
):
    """Its response is excluded when it is generated; the cascade still listens to it."""
    data = shutil.copytree(data_folder, tmp_path / "data")
    manifest = Manifest(data / "dev.tsv")
    rows = [manifest[row] for row in range(7)]
    rows[2] = rows[2]._replace(text="")
    write_manifest(data / "dev.tsv", rows)
    lines = (data / "dev.responses.jsonl").read_text().splitlines()
    record = json.loads(lines[3]) | {"response": [], "text": "", "ended": ""}
    record["excluded"] = "empty transcript"
    lines[3] = json.dumps(record)
    (data / "dev.responses.jsonl").write_text("\n".join(lines) + "\n")
    assert evaluate(*arguments(tmp_path / "out", llm_path, data, checkpoints)) == 0
    found = json.loads((tmp_path / "out/perplexity.json").read_text())["dev"]
    assert found["utterances"] == 6
    assert {entry["id"] for entry in found["excluded"]} == {"dev-2"}


def refused(capsys, *words):
    assert evaluate(*words) == 2
    error = capsys.readouterr().err
    return error[error.index("error: ") :]


def test_mistakes_end_in_one_sentence(tmp_path, llm_path, data_folder, checkpoints, capsys):
    base = ["perplexity", "--llm", llm_path, "--output", tmp_path / "out"]
    test_set = ["--test-set", f"dev={data_folder}/dev.tsv"]
    swapped = refused(capsys, *base, *test_set, "--end-to-end", f"x={checkpoints['ctc']}")
    assert "must be one of audio_chat, because it is given with --end-to-end" in swapped
    swapped = refused(capsys, *base, *test_set, "--cascade", f"x={checkpoints['chat']}")
    assert "must be one of audio_ctc, because it is given with --cascade" in swapped
    missing = refused(capsys, *base, *test_set, "--end-to-end", "x=no.pt")
    assert "no.pt: the checkpoint of 'x' must exist, but does not; train audio_chat" in missing
    assert "--test-set must be given at least once" in refused(capsys, *base)
    twice = refused(capsys, *base, *test_set, *test_set)
    assert "every name must be given once, but 'dev' is given 2 times" in twice
    slash = refused(capsys, *base, *test_set, "--cascade", f"a/b={checkpoints['ctc']}")
    assert "a name must be able to name a file, but is 'a/b'" in slash
    nowhere = refused(capsys, *base, "--test-set", "no/where.tsv")
    assert "where.tsv: the file must exist, but does not" in nowhere


def test_a_breakdown_that_one_test_set_lacks_is_refused_before_scoring(
    tmp_path, llm_path, data_folder, capsys
):
    noisy = shutil.copytree(data_folder, tmp_path / "noisy")
    header, *rows = (noisy / "dev.tsv").read_text().splitlines()
    (noisy / "dev.tsv").write_text("\n".join([f"{header}\tnoise", *(f"{r}\tcafe" for r in rows)]))
    words = ["--llm", llm_path, "--output", tmp_path / "evaluation", "--by", "noise"]
    sets = ["--test-set", f"a={noisy / 'dev.tsv'}", "--test-set", f"b={data_folder / 'dev.tsv'}"]
    error = refused(capsys, "perplexity", *words, *sets)
    assert "test set 'b': --by must name 'wer', 'seconds' or a column of the manifest" in error
    assert not (tmp_path / "evaluation").exists()


def test_responses_of_another_llm_are_refused(tmp_path, data_folder, capsys):
    other = tiny.make_llm(tmp_path / "other", seed=1)
    words = ["--llm", other, "--output", tmp_path / "out"]
    error = refused(capsys, "perplexity", *words, "--test-set", data_folder / "dev.tsv")
    assert "responses must be those of the LLM in --llm, but differ: " in error
    assert "embedding" in error


def test_names_are_made_from_paths(tmp_path, llm_path, data_folder, checkpoints):
    words = ["--llm", llm_path, "--output", tmp_path / "out", "--cascade", checkpoints["ctc"]]
    assert evaluate("perplexity", *words, "--test-set", data_folder / "dev.tsv") == 0
    made = json.loads((tmp_path / "out/run.json").read_text())
    assert list(made["test_sets"]) == ["data-dev"]
    assert list(made["arms"]) == [REFERENCE, "cascade ctc last"]


def test_a_folder_without_records_is_not_reported(tmp_path, capsys):
    assert "the folder of an evaluation must hold it" in refused(capsys, "report", tmp_path)
    (tmp_path / "run.json").write_text('{"format": "fairseq_audiochat.evaluation/1"}')
    assert "there must be records to report" in refused(capsys, "report", tmp_path)
