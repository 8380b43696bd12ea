"""Right answers by hand, and answers that are missing."""

import json
import math

import pytest

from fairseq_audiochat.evaluate.answers.plot import draw
from fairseq_audiochat.evaluate.answers.table import as_text, results

RUN = {
    "arms": {"reference text": {"kind": "text"}, "ctc": {"kind": "cascade"}},
    "test_sets": {"trivia": {}},
    "seed": 1,
}
QUESTIONS = {"a": ["Paris"], "b": ["Émile Zola", "Zola"], "c": ["42"], "d": ["The The"]}
TEXT = {"a": "Paris.", "b": "It was Zola!", "c": "I cannot say.", "d": ""}
CASCADE = {  # the answer, word errors of five
    "a": ("The capital is Paris", 0),
    "b": ("Zola", 1),
    "c": ("42", 5),
    "d": ("none", 6),
}


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def folder(tmp_path):
    questions = [{"id": id, "question": "?", "answers": own} for id, own in QUESTIONS.items()]
    write(tmp_path / "questions/trivia.jsonl", questions)
    records = [{"id": id, "answer": text, "prompt": "x"} for id, text in TEXT.items()]
    write(tmp_path / "answers/trivia/reference text.jsonl", records)
    records = [
        {"id": id, "answer": text, "prompt": "x" * (errors < 6), "word_errors": errors, "words": 5}
        for id, (text, errors) in CASCADE.items()
    ]
    write(tmp_path / "answers/trivia/ctc.jsonl", records)
    return tmp_path


def test_shares_by_hand(folder):
    found = results(folder, RUN)["trivia"]
    text, cascade = found["arms"].values()
    # "d" is answered by nothing, and its alias is nothing once the articles are gone: exact.
    assert (text["occurs"]["count"], text["exact"]["count"]) == (2, 2)
    assert text["exact"]["value"] == 50.0
    # "it was zola" and "zola": 2 * 1 / (3 + 1); "paris" 1.
    assert math.isclose(text["f1"]["value"], 100 * (1 + 2 / 4) / 4)
    assert (cascade["occurs"]["count"], cascade["exact"]["count"]) == (3, 2)
    # "capital is paris" 2 / (3 + 1), and two that are exact.
    assert math.isclose(cascade["f1"]["value"], 100 * (2 / 4 + 1 + 1) / 4)
    assert cascade["wer"] == 100 * 12 / 20
    assert "wer" not in text


def test_intervals(folder):
    """Wilson's of 3 of 4, by its formula; F1's lies around F1."""
    share = results(folder, RUN)["trivia"]["arms"]["ctc"]
    z, n, p = 1.959963984540054, 4, 0.75
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    spread = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert share["occurs"]["interval"] == pytest.approx(
        [100 * (centre - spread), 100 * (centre + spread)]
    )
    low, high = share["f1"]["interval"]
    assert 0 <= low < share["f1"]["value"] < high <= 100


def test_groups_by_word_errors(folder):
    groups = results(folder, RUN)["trivia"]["by"]["WER of ctc"]
    assert {name: group["questions"] for name, group in groups.items()} == {
        "0 %": 1,
        "above 10 to 20 %": 1,
        "above 80 %": 2,
    }
    assert groups["above 80 %"]["arms"]["ctc"]["occurs"]["count"] == 1
    assert groups["0 %"]["arms"]["ctc"]["f1"]["interval"] is None  # of one question there is none


def test_text_and_picture(folder, tmp_path):
    found = results(folder, RUN)
    text = as_text(found)
    assert text.startswith("## trivia: 4 questions\n\n| the LLM reads  | WER % | alias occurs % |")
    assert "| ctc            |  60.0 |           75.0 | [30.1, 95.4] |          50.0 |" in text
    assert "### Alias occurs %, by WER of ctc" in text
    assert "1 transcripts of ctc are empty; the LLM read an empty prompt." in text
    assert "1 answers of reference text are empty; they are wrong." in text
    assert json.loads(json.dumps(found)) == found  # no NaN: plain JSON
    draw(found, tmp_path / "answers.png")
    assert (tmp_path / "answers.png").read_bytes().startswith(b"\x89PNG")


def test_a_question_that_one_arm_lacks_counts_in_none(folder):
    path = folder / "answers/trivia/ctc.jsonl"
    lines = path.read_text().splitlines()
    excluded = json.dumps({"id": "a", "excluded": "too long"})
    path.write_text("\n".join([excluded, *lines[1:3]]) + "\n")  # and "d" is missing
    found = results(folder, RUN)["trivia"]
    assert found["questions"] == 2
    assert found["arms"]["reference text"]["occurs"]["count"] == 1
    assert (
        "2 questions are left out of every arm: a (ctc: too long); d (ctc: not answered)."
        in as_text({"trivia": found})
    )


def test_no_common_question_is_refused(folder):
    write(folder / "answers/trivia/ctc.jsonl", [{"id": id, "excluded": "long"} for id in "abcd"])
    with pytest.raises(
        ValueError,
        match=r"test set 'trivia': some question must be answered in every arm, but none is "
        r"\(first: 'a', ctc: long\)",
    ):
        results(folder, RUN)


def test_an_arm_without_answers_is_named(folder):
    (folder / "answers/trivia/ctc.jsonl").unlink()
    found = results(folder, RUN)
    assert list(found["trivia"]["arms"]) == ["reference text"]
    assert found["trivia"]["by"] == {}
    assert "ctc did not answer this test set." in as_text(found)
