"""Table 2 from records, by hand."""

import json
import math

import pytest

from fairseq_audiochat.evaluate.perplexity.table import as_text, results

RUN = {
    "arms": {
        "reference text": {"kind": "text"},
        "e2e": {"kind": "end-to-end"},
        "ctc": {"kind": "cascade"},
    },
    "test_sets": {"mini": {}},
    "seed": 1,
}


def scored(id, nats, tokens):
    return {"id": id, "nats": nats, "tokens": tokens}


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def folder(tmp_path):
    """Utterance c does not fit behind the recording; d is in two arms only."""
    scores = tmp_path / "scores/mini"
    write(scores / "reference text.jsonl", [scored(id, 1.0, 4) for id in "abcd"])
    write(
        scores / "e2e.jsonl",
        [{"id": "c", "excluded": "too long"}, scored("a", 2.0, 4), scored("b", 4.0, 4)],
    )
    write(scores / "ctc.jsonl", [scored(id, 6.0, 4) for id in "abcd"])
    transcripts = [
        {"id": "a", "prompt": "", "word_errors": 5, "words": 5},
        {"id": "b", "prompt": "yes", "word_errors": 1, "words": 15},
        {"id": "c", "prompt": "no", "word_errors": 7, "words": 7},
        {"id": "d", "prompt": "no", "word_errors": 7, "words": 7},
    ]
    write(tmp_path / "transcripts/mini/ctc.jsonl", transcripts)
    known = {id: {"seconds": 1.0, "text": id, "speaker": "s" + id} for id in "abcd"}
    (tmp_path / "utterances").mkdir()
    (tmp_path / "utterances/mini.json").write_text(json.dumps(known))
    return tmp_path


def test_hand_computed_table(folder):
    found = results(folder, RUN, [])["mini"]
    assert found["utterances"] == 2
    arms = found["arms"]
    assert arms["reference text"]["perplexity"] == pytest.approx(math.exp(2 / 8))
    assert arms["e2e"]["perplexity"] == pytest.approx(math.exp(6 / 8))
    assert arms["ctc"]["perplexity"] == pytest.approx(math.exp(12 / 8))
    assert arms["ctc"]["ratio"] == pytest.approx(math.exp(6 / 8))
    assert arms["ctc"]["ratio_to"] == "e2e"
    assert arms["ctc"]["wer"] == pytest.approx(100 * 6 / 20)
    assert arms["ctc"]["empty_transcripts"] == 1
    assert "ratio" not in arms["e2e"]
    assert all(arm["tokens"] == 8 for arm in arms.values())


def test_what_one_arm_lacks_counts_in_none_and_is_named(folder):
    found = results(folder, RUN, [])
    assert found["mini"]["excluded"] == [
        {"id": "c", "arm": "e2e", "reason": "too long"},
        {"id": "d", "arm": "e2e", "reason": "not scored"},
    ]
    text = as_text(found)
    assert "2 utterances are left out of every arm: c (e2e: too long); d (e2e: not scored)." in text
    assert "1 transcripts of ctc are empty; the LLM read an empty prompt." in text


def test_groups_are_those_of_the_same_utterances(folder):
    groups = results(folder, RUN, ["wer", "seconds", "speaker"])["mini"]["by"]
    assert list(groups) == ["WER of ctc", "seconds", "speaker"]
    by_wer = groups["WER of ctc"]
    assert by_wer["above 0 to 10 %"]["arms"]["e2e"]["perplexity"] == pytest.approx(math.exp(1.0))
    assert by_wer["above 80 %"]["arms"]["e2e"]["perplexity"] == pytest.approx(math.exp(0.5))
    assert groups["seconds"]["1.0 to 1.0"]["arms"] == results(folder, RUN, [])["mini"]["arms"]
    assert groups["speaker"]["sa"]["utterances"] == 1


def test_text_of_the_table(folder):
    text = as_text(results(folder, RUN, ["speaker"]))
    assert text.splitlines()[0] == "## mini: 2 utterances"
    assert "| ctc            |  30.0 | [6.7, 100.0] |      4.482 |" in text
    assert "### By speaker" in text
    # Of one utterance there is no interval.
    assert "| sa      |          1 |           1.28 | 1.65 | 4.48 |" in text


def test_without_end_to_end_nothing_is_compared(folder):
    run = {**RUN, "arms": {"reference text": {"kind": "text"}, "ctc": {"kind": "cascade"}}}
    found = results(folder, run, [])
    assert found["mini"]["utterances"] == 4
    assert "ratio" not in found["mini"]["arms"]["ctc"]
    assert "/" not in as_text(found).splitlines()[2]


def test_an_arm_without_records_is_named(folder):
    run = {**RUN, "arms": {**RUN["arms"], "late": {"kind": "end-to-end"}}}
    found = results(folder, run, [])
    assert found["mini"]["missing"] == ["late"]
    assert found["mini"]["arms"] == results(folder, RUN, [])["mini"]["arms"]
    assert "late was not scored on this test set." in as_text(found)


def test_a_test_set_without_a_common_utterance_is_refused(folder):
    write(folder / "scores/mini/ctc.jsonl", [{"id": id, "excluded": "long"} for id in "abcd"])
    sentence = "test set 'mini': some utterance must be scored in every arm, but none is"
    with pytest.raises(ValueError, match=sentence + r" \(first: 'c', e2e: too long\)"):
        results(folder, RUN, [])
