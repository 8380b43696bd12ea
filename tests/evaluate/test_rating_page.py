import base64
import json
from pathlib import Path

import pytest
import rating_data
import soundfile
import tiny
from rating_data import CASCADE, END_TO_END, make_answers, make_page, write_lines

from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.rating.key import RatingKey, read_key


def page(folder: Path) -> str:
    return (folder / "out/rating/quiz/page.html").read_text(encoding="utf-8")


def data_of(folder: Path) -> dict:
    """What the page's script reads."""
    text = page(folder).partition('<script type="application/json" id="data">')[2]
    return json.loads(text.partition("</script>")[0])


def error(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> str:
    """The one sentence that the command ends with."""
    assert main(["rating-page", "--output", str(folder / "out"), *options]) == 2
    said, _, message = capsys.readouterr().err.partition("error: ")
    assert said == "" or said.startswith("\rpage.html:")  # the progress bar
    assert message.count("\n") == 1
    return message


def test_page_and_key_belong_together(tmp_path: Path):
    key = make_page(tmp_path, 12, "--samples", "2")
    shown = data_of(tmp_path)
    assert shown["page"] == key.page
    assert len(shown["samples"]) == len(key.samples) == 6
    for sample, screen in zip(key.samples, shown["samples"]):
        number = int(sample.id.removeprefix("test-"))
        assert sample.word_errors == rating_data.ERRORS[number % 3]
        assert sample.level == number % 3
        assert screen["question"] == f"Which number is {number}?"
        assert screen["reference"] == [f"number {number}"]
        assert screen["left"] == sample.answers[sample.left]
        assert {screen["left"], screen["right"]} == set(sample.answers.values())
        assert sample.system("right") != sample.left


def test_the_page_tells_nothing_of_the_systems(tmp_path: Path):
    key = make_page(tmp_path, 12)
    text = page(tmp_path).lower()
    assert CASCADE not in text
    assert END_TO_END not in text
    assert not [sample.id for sample in key.samples if sample.id in text]
    fields = {"recording", "question", "reference", "left", "right"}
    assert all(set(screen) == fields for screen in data_of(tmp_path)["samples"])


def test_a_recording_is_what_the_manifest_names(tmp_path: Path):
    key = make_page(tmp_path)
    for sample, screen in zip(key.samples, data_of(tmp_path)["samples"]):
        kind, _, content = screen["recording"].partition(";base64,")
        assert kind == "data:audio/flac"
        (tmp_path / "heard.flac").write_bytes(base64.b64decode(content))
        heard, rate = soundfile.read(tmp_path / "heard.flac")
        written, _ = soundfile.read(tmp_path / f"test/{sample.id.removeprefix('test-')}.wav")
        assert rate == 16_000
        assert heard == pytest.approx(written, abs=2**-15)  # both have 16 bits


def test_nothing_in_an_answer_ends_the_script(tmp_path: Path):
    options = make_answers(tmp_path, 3)
    path = tmp_path / f"answers/quiz/{END_TO_END}.jsonl"
    evil = "</script><script>alert(1)</script><!-- & \u2028 \U0001f600 \\u003c"
    write_lines(path, [{"id": f"test-{n}", "answer": evil} for n in range(3)])
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    assert "alert(1)</script>" not in page(tmp_path)
    shown = data_of(tmp_path)["samples"]
    assert all(evil in (screen["left"], screen["right"]) for screen in shown)


def test_without_known_answers_the_transcript_is_the_question(tmp_path: Path):
    key = make_page(tmp_path, 3, known=False)
    texts = {row.id: row.text for row in tiny.make_manifest(tmp_path, "test", 3)}
    for sample, screen in zip(key.samples, data_of(tmp_path)["samples"]):
        assert screen["question"] == texts[sample.id]
        assert screen["reference"] == []


def test_the_same_command_writes_the_same_page(tmp_path: Path):
    key = make_page(tmp_path)
    before = page(tmp_path)
    assert make_page(tmp_path) == key
    assert page(tmp_path) == before


def test_a_kill_before_the_end_leaves_nothing_half_done(tmp_path: Path, capsys, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out, options = str(tmp_path / "out"), make_answers(tmp_path, 9)
    with monkeypatch.context() as patched:
        patched.setattr(RatingKey, "write", stop)
        assert main(["rating-page", "--output", out, *options]) == 130
    assert "stopped: give the same command again" in capsys.readouterr().err
    assert main(["ratings", out]) == 2
    assert "there must be a page that was judged" in capsys.readouterr().err
    assert main(["rating-page", "--output", out, *options, "--seed", "2"]) == 0  # nobody knows it
    assert main(["ratings", out]) == 0


def test_a_page_that_raters_know_is_not_replaced(tmp_path: Path, capsys):
    make_page(tmp_path)
    message = error(capsys, tmp_path, *make_answers(tmp_path, 9), "--seed", "2")
    assert "rating/quiz/key.json: the page of a test set must stay what raters know" in message


def test_the_levels_and_their_size_are_said(tmp_path: Path, capsys):
    make_page(tmp_path, 8, "--samples", "3")
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    assert ["WER of zebra", "utterances", "samples"] in rows
    assert ["above 0 to 30 %", "3", "3"] in rows
    assert "Note: above 30 % has 2 of the 3 samples asked for." in printed
    assert "page.html: 0." in printed
    assert "MB. Give this file to the raters, and key.json to none of them." in printed


def test_what_only_one_system_answered_is_left_out_and_named(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 9)
    path = tmp_path / f"answers/quiz/{END_TO_END}.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    named = "2 utterances are left out, not answered by 'walrus': test-7, test-8."
    assert f"Note: {named}" in capsys.readouterr().out
    key = read_key(tmp_path / "out/rating/quiz/key.json")
    assert {sample.id for sample in key.samples} == {f"test-{n}" for n in range(7)}
    assert main(["ratings", str(tmp_path / "out")]) == 0
    assert named in (tmp_path / "out/ratings.md").read_text()


def test_what_a_system_says_it_could_not_answer_is_left_out(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 6)
    path = tmp_path / f"answers/quiz/{CASCADE}.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[2] = {"id": "test-2", "excluded": "too long"}
    write_lines(path, records)
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    expected = "1 utterances are left out, not answered by 'zebra' (too long): test-2."
    assert expected in capsys.readouterr().out


def test_levels_are_of_utterances_that_the_cascade_heard(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    other = write_lines(
        tmp_path / "weak.jsonl", [{"id": "test-1", "answer": "", "word_errors": 0, "words": 1}]
    )
    options += ["--wer-of", str(other)]
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    expected = "2 utterances are left out, word errors not known: test-0, test-2."
    assert expected in capsys.readouterr().out


def test_a_reference_without_words_has_no_level(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 6)
    path = tmp_path / f"answers/quiz/{CASCADE}.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[4]["words"] = 0
    write_lines(path, records)
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    expected = "1 utterances are left out, no words in the reference transcript: test-4."
    assert expected in capsys.readouterr().out


def test_levels_of_a_cascade_that_is_not_judged(tmp_path: Path):
    options = make_answers(tmp_path, 6)
    counts = [{"id": f"test-{n}", "answer": "", "word_errors": 3, "words": 4} for n in range(6)]
    other = write_lines(tmp_path / "weak.jsonl", counts)
    options += ["--wer-of", f"weak={other}", "--wer-levels", "75", "90"]
    assert main(["rating-page", "--output", str(tmp_path / "out"), *options]) == 0
    key = read_key(tmp_path / "out/rating/quiz/key.json")
    assert (key.wer_of, key.available) == ("weak", [6, 0, 0])
    assert key.levels == ["up to 75 %", "above 75 to 90 %", "above 90 %"]


def test_what_was_judged_is_on_record(tmp_path: Path):
    make_page(tmp_path)
    everything = json.loads((tmp_path / "out/run.json").read_text())
    run = everything["rating"]["quiz"]
    assert [one["name"] for one in run["answers"]] == [CASCADE, END_TO_END]
    assert all(len(one["sha256"]) == 64 for one in run["answers"])
    assert set(everything["test_sets"]["quiz"]["sha256"]) == {"test.tsv", "test.answers.jsonl"}
    assert (run["seed"], run["samples"], run["wer_levels"]) == (1, 50, [0, 30])


def test_two_test_sets_share_a_folder(tmp_path: Path):
    make_page(tmp_path)
    again = [option.replace("quiz=", "other=") for option in make_answers(tmp_path, 9)]
    assert main(["rating-page", "--output", str(tmp_path / "out"), *again]) == 0
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert list(run["rating"]) == ["quiz", "other"]
    assert main(["ratings", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/ratings.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## other: 9 samples, judged by the alias match",
        "## quiz: 9 samples, judged by the alias match",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda o: o[:4], "--answers must be given twice, with different names, but is given for"),
        (lambda o: [*o[:4], *o[2:4]], "but is given for 'zebra', 'zebra'; put NAME= before"),
        (lambda o: [*o, "--wer-levels", "30", "0"], "that increase from 0 or above, but are 30 0"),
        (lambda o: [*o, "--wer-of", o[5]], "walrus.jsonl: every record must have 'word_errors'"),
        (lambda o: ["--test-set", "a/b=" + o[1][5:], *o[2:]], "must be able to name a file"),
        (lambda o: [*o[:2], *o[4:6], "--answers", "none.jsonl"], "none.jsonl: a system's answers"),
    ],
)
def test_options_that_cannot_be(change, expected: str, tmp_path: Path, capsys):
    assert expected in error(capsys, tmp_path, *change(make_answers(tmp_path, 3)))


def test_one_cascade_must_give_the_levels(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    both = f"twin={tmp_path}/answers/quiz/{CASCADE}.jsonl"
    message = error(capsys, tmp_path, *options[:4], "--answers", both)
    assert "but 'zebra' and 'twin' have them; give --wer-of" in message
    neither = tmp_path / f"answers/quiz/{END_TO_END}.jsonl"
    message = error(capsys, tmp_path, *options[:2], *options[4:], "--answers", f"twin={neither}")
    assert "but neither of --answers has them; give --wer-of" in message


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": "test-0", "answer": 3}, ":2: 'answer' must be a text, but is 3 (utterance 'tes"),
        ({"id": "other", "answer": ""}, "answered once, but 'other' is in line 1 too; make"),
        ({"answer": ""}, "a line must be a JSON record with an 'id'"),
    ],
)
def test_a_bad_answer_is_named(record: dict, expected: str, tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    path = tmp_path / f"answers/quiz/{END_TO_END}.jsonl"
    write_lines(path, [{"id": "other", "answer": "yes"}, record])
    assert expected in error(capsys, tmp_path, *options)


def test_answers_to_another_test_set_are_refused(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    write_lines(tmp_path / f"answers/quiz/{END_TO_END}.jsonl", [{"id": "x", "answer": "yes"}])
    message = error(capsys, tmp_path, *options)
    assert "test.tsv: answers must be to its utterances, but 1 of 'walrus' are not" in message


def test_nothing_that_both_answered_is_refused(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    (tmp_path / f"answers/quiz/{END_TO_END}.jsonl").write_text("")
    message = error(capsys, tmp_path, *options)
    assert "answered by both systems, but none is; not answered by 'walrus': 3" in message


def test_word_errors_must_be_counts(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    records = [{"id": f"test-{n}", "answer": "", "word_errors": -1, "words": 2} for n in range(3)]
    write_lines(tmp_path / f"answers/quiz/{CASCADE}.jsonl", records)
    message = error(capsys, tmp_path, *options)
    assert "'word_errors' and 'words' must be counts, but are -1 and 2 (utterance 't" in message


def test_a_missing_recording_is_named(tmp_path: Path, capsys):
    options = make_answers(tmp_path, 3)
    (tmp_path / "test/1.wav").unlink()
    assert "1.wav: the audio file must exist" in error(capsys, tmp_path, *options)
    assert not list((tmp_path / "out/rating/quiz").iterdir())


def test_at_least_one_sample(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        main(["rating-page", "--output", "x", "--test-set", "x", "--samples", "0"])
    assert "must be at least 1, but is 0" in capsys.readouterr().err


def test_a_key_that_was_changed_is_refused(tmp_path: Path, capsys):
    make_page(tmp_path)
    path = tmp_path / "out/rating/quiz/key.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(ValueError, match="the key must be as rating-page wrote it, in the format"):
        read_key(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="it must be the key of a page, but is not"):
        read_key(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="a rating must have the key of its page"):
        read_key(path)
