"""Spoken questions by their command, on tiny checkpoints, against fairseq's own search."""

import json
import re
import shutil
from argparse import Namespace

import pytest
import tiny
from fairseq.checkpoint_utils import load_model_ensemble_and_task

from fairseq_audiochat.data.manifest import Manifest, write_manifest
from fairseq_audiochat.data.question_answers import Question
from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.modules.frozen_llm import FrozenLlm

REFERENCE, NOTHING = "reference text", "nothing in the prompt"
ARMS = {REFERENCE: "text", "e2e": "audio", "ctc": "cascade", NOTHING: "none"}
SEARCH = ("--beam", 3, "--max-length", 6)


def ask(manifest):
    """Write the right answers; the alias of every second question is what no LLM says."""
    rows = Manifest(manifest)
    questions = [
        Question(row.id, f"{row.text}?", ["zebra crossing" if place % 2 else "x", "Y."])
        for place, row in enumerate(rows[i] for i in range(len(rows)))
    ]
    lines = "".join(question.to_json() + "\n" for question in questions)
    manifest.with_name(f"{manifest.stem}.answers.jsonl").write_text(lines)


@pytest.fixture(scope="module")
def data(tmp_path_factory, data_folder):
    """The tiny data folder, and right answers in it."""
    folder = tmp_path_factory.mktemp("questions") / "data"
    shutil.copytree(data_folder, folder)
    ask(folder / "dev.tsv")
    return folder


@pytest.fixture(scope="module")
def words(llm_path, data, checkpoints):
    """The command line, but for the output folder."""
    return [
        *("answers", "--llm", llm_path, "--test-set", f"dev={data}/dev.tsv", *SEARCH),
        *("--end-to-end", f"e2e={checkpoints['chat']}", "--cascade", f"ctc={checkpoints['ctc']}"),
        *("--nothing", "--batch-size", 3),
    ]


def evaluate(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def output(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    assert evaluate(*words, "--output", folder) == 0
    return folder


@pytest.mark.parametrize(("arm", "prompt"), ARMS.items())
def test_answers_are_those_of_the_task(output, arm, prompt, llm_path, data, checkpoints):
    """What fairseq-generate does, with the task's own data set, in one batch."""
    asr = str(checkpoints["ctc"]) if prompt == "cascade" else None
    overrides = {"data": str(data), "llm": str(llm_path), "prompt": prompt, "asr_checkpoint": asr}
    (model,), _, task = load_model_ensemble_and_task([str(checkpoints["chat"])], overrides)
    sample = tiny.batch(task, "dev", list(range(7)))
    generator = task.build_generator([model.eval()], Namespace(beam=3, max_len_b=6))
    hypotheses = task.inference_step(generator, [model], sample)
    expected = {
        id: task.template.decode([t for t in best["tokens"].tolist() if t != 2]).strip()
        for id, (best, *_) in zip(sample["utterance_ids"], hypotheses)
    }
    records = read(output / f"answers/dev/{arm}.jsonl")
    assert {record["id"]: record["answer"] for record in records} == expected
    # After one update the cascade hears nothing.
    assert len(set(expected.values())) > 1 or prompt in ("cascade", "none")


def test_records_say_what_was_read(output, data):
    texts = {row.id: row.text for row in map(Manifest(data / "dev.tsv").__getitem__, range(7))}
    heard = {record["id"]: record for record in read(output / "transcripts/dev/ctc.jsonl")}
    for record in read(output / f"answers/dev/{REFERENCE}.jsonl"):
        assert record["prompt"] == texts[record["id"]]
        assert "word_errors" not in record
    for record in read(output / "answers/dev/ctc.jsonl"):
        names = ("prompt", "word_errors", "words")
        assert [record[name] for name in names] == [heard[record["id"]][name] for name in names]
    assert {record["prompt"] for record in read(output / "answers/dev/e2e.jsonl")} == {""}


def test_a_run_that_was_cut_ends_as_one_that_was_not(output, words, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    path = copy / "answers/dev/ctc.jsonl"
    path.write_bytes(path.read_bytes()[:150])
    (copy / "answers/dev/e2e.jsonl").unlink()
    assert evaluate(*words, "--output", copy) == 0
    for name in ("answers/dev/ctc.jsonl", "answers/dev/e2e.jsonl", "answers.json", "answers.md"):
        assert (copy / name).read_bytes() == (output / name).read_bytes()


def test_report_needs_the_records_alone(output, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    for kind in ("md", "json", "png"):
        (copy / f"answers.{kind}").unlink()
    assert evaluate("report", copy) == 0
    for kind in ("md", "json"):
        assert (copy / f"answers.{kind}").read_bytes() == (output / f"answers.{kind}").read_bytes()
    assert (copy / "answers.png").read_bytes().startswith(b"\x89PNG")


def test_run_record_and_numbers(output):
    run = json.loads((output / "run.json").read_text())
    assert run["answers"] == {"beam": 3, "max_length": 6}
    assert list(run["arms"]) == list(ARMS)
    assert set(run["test_sets"]["dev"]["sha256"]) == {"dev.tsv", "dev.answers.jsonl"}
    found = json.loads((output / "answers.json").read_text())["dev"]
    assert found["questions"] == 7
    assert list(found["arms"]) == list(ARMS)
    assert sum(group["questions"] for group in found["by"]["WER of ctc"].values()) == 7


def test_perplexity_may_share_the_folder(output, words, tmp_path, capsys):
    """Each command reads another file beside the manifest; both digests are kept."""
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    place = words.index("--beam")
    both = [*words[1:place], *words[place + len(SEARCH) :]]
    assert evaluate("perplexity", *both, "--output", copy) == 0
    run = json.loads((copy / "run.json").read_text())
    assert len(run["test_sets"]["dev"]["sha256"]) == 3
    assert evaluate("report", copy) == 0
    assert "exact match" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--beam", 4), "run.json: an output folder must be gone on with as it was begun, but"),
        (("--beam", 0), "--beam must be a positive integer, but is 0"),
        (("--max-length", -1), "--max-length must be a positive integer, but is -1"),
    ],
)
def test_bad_settings_end_in_one_sentence(output, words, change, message, capsys):
    before = (output / "run.json").read_bytes()
    assert evaluate(*words, "--output", output, *change) == 2
    assert message in capsys.readouterr().err
    assert (output / "run.json").read_bytes() == before


def test_a_test_set_without_answers_is_refused_at_once(words, data_folder, tmp_path, capsys):
    changed = [str(word).replace("dev=", f"x={data_folder}/dev.tsv=") for word in words]
    changed[changed.index("--test-set") + 1] = f"dev={data_folder}/dev.tsv"
    assert evaluate(*changed, "--output", tmp_path / "out") == 2
    assert "a test set of questions must have its right answers there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_question_that_one_arm_cannot_answer_counts_in_none(words, data, tmp_path, capsys):
    """A transcript of 300 words does not fit into 256 positions; its recording does."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    rows = [Manifest(folder / "dev.tsv")[i] for i in range(7)]
    rows[2] = rows[2]._replace(text="what " * 300)
    rows[4] = rows[4]._replace(text="")
    write_manifest(folder / "dev.tsv", rows)
    changed = [f"dev={folder}/dev.tsv" if str(word).startswith("dev=") else word for word in words]
    assert evaluate(*changed, "--output", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out/answers.json").read_text())["dev"]
    assert found["questions"] == 5
    said = capsys.readouterr().out
    assert "2 questions are left out of every arm: " in said
    assert re.search(r"dev-2 \(reference text: prompt and answer may need \d+ positions of", said)
    assert "dev-4 (e2e: empty transcript)" in said


def test_people_can_judge_the_answers(output, data, tmp_path, capsys):
    """Guards the records that two commands share, and the folder that they fill together."""
    folder = tmp_path / "out"
    shutil.copytree(output, folder)
    path = folder / "answers/dev/e2e.jsonl"
    path.write_text(re.sub('"answer": "[^"]*"', '"answer": "It is X!"', path.read_text()))
    arms = [("--answers", folder / f"answers/dev/{arm}.jsonl") for arm in ("e2e", "ctc")]
    page = ("rating-page", "--output", folder, "--test-set", f"dev={data}/dev.tsv")
    assert evaluate(*page, *arms[0], *arms[1]) == 0
    assert evaluate("report", folder) == 0
    assert "## dev: 7 samples, judged by the alias match" in capsys.readouterr().out
    # The same answers, by the same rule: X is right in every second of seven.
    judged = json.loads((folder / "ratings.json").read_text())["dev"]["levels"]["all"]["systems"]
    answers = json.loads((folder / "answers.json").read_text())["dev"]["arms"]
    for arm, right in (("e2e", 4), ("ctc", 0)):
        assert judged[arm]["successes"] == answers[arm]["occurs"]["count"] == right


def test_the_llm_is_made_fast_before_the_search(llm_path, data, tmp_path, monkeypatch):
    made_fast = []
    monkeypatch.setattr(
        FrozenLlm, "make_generation_fast_", lambda llm, **options: made_fast.append(llm)
    )
    words = ("answers", "--llm", llm_path, "--test-set", f"dev={data}/dev.tsv", *SEARCH)
    assert evaluate(*words, "--output", tmp_path / "out") == 0
    assert len(made_fast) == 1
