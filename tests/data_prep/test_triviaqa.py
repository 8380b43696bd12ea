"""TriviaQA's official JSON, in the structure of its files."""

import json
from pathlib import Path

import pytest
from triviaqa import TriviaQuestion, accepted_answers, read_questions

from fairseq_audiochat.metrics.question_answering import normalise_answer

# An entry of the official repository's sample, shortened.
ENTRY = {
    "Answer": {
        "Aliases": ["Sunset Blvd", "West Sunset Boulevard", "Sunset Boulevard", "Sunset Blvd."],
        "MatchedWikiEntityName": "Sunset Boulevard",
        "NormalizedAliases": ["west sunset boulevard", "sunset blvd", "sunset boulevard"],
        "NormalizedMatchedWikiEntityName": "sunset boulevard",
        "NormalizedValue": "sunset boulevard",
        "Type": "WikipediaEntity",
        "Value": "Sunset Boulevard",
    },
    "EntityPages": [{"DocSource": "TagMe", "Title": "Andrew Lloyd Webber", "Rho": "0.22520"}],
    "Question": "Which Lloyd Webber musical premiered in the US on 10th December 1993?",
    "QuestionId": "tc_33",
    "QuestionSource": "http://www.triviacountry.com/",
    "SearchResults": [{"Description": "...", "Rank": 0, "Url": "http://x", "Title": "t"}],
}
FREE_FORM = {
    "Aliases": ["1,000 (One Thousand)"],
    "NormalizedAliases": ["1 000 one thousand"],
    "NormalizedValue": "1 000 one thousand",
    "Type": "FreeForm",
    "Value": "1,000 (One Thousand)",
    "HumanAnswers": ["1000", "A thousand"],
}


def entry(id: str, **changes: object) -> dict[str, object]:
    return {**ENTRY, "QuestionId": id, **changes}


def write(path: Path, *entries: object, verified: bool = False) -> Path:
    whole = {"Data": entries, "Domain": "Web", "VerifiedEval": verified, "Version": 1.0}
    path.write_text(json.dumps(whole, indent=4))
    return path


def test_a_file_of_the_official_structure(tmp_path: Path):
    path = write(
        tmp_path / "dev.json", ENTRY, entry("bb_1", Answer=FREE_FORM, Question="How many?")
    )
    assert read_questions(path) == [
        TriviaQuestion(
            "tc_33",
            ENTRY["Question"],
            ["West Sunset Boulevard", "Sunset Blvd", "Sunset Boulevard"],
        ),
        TriviaQuestion("bb_1", "How many?", ["1,000 (One Thousand)", "1000", "A thousand"]),
    ]


def test_accepted_are_the_official_ground_truths():
    """NormalizedAliases and the normalised HumanAnswers, no more and no fewer."""
    for answer in (ENTRY["Answer"], FREE_FORM, {**FREE_FORM, "NormalizedAliases": ["the the"]}):
        official = {*map(normalise_answer, answer["NormalizedAliases"])}
        official |= {*map(normalise_answer, answer.get("HumanAnswers", []))}
        accepted = accepted_answers(answer)
        assert {normalise_answer(text) for text in accepted} == official
        assert len(accepted) == len(official)


def test_what_cannot_be_asked_says_why(tmp_path: Path):
    without = {name: value for name, value in ENTRY.items() if name != "Answer"}
    no_alias = {**FREE_FORM, "NormalizedAliases": [], "HumanAnswers": [" "]}
    entries = [ENTRY, ENTRY, {**without, "QuestionId": "a"}, entry("b", Answer=no_alias)]
    found = read_questions(write(tmp_path / "dev.json", *entries))
    assert [q.unusable for q in found] == ["", "duplicate id", "no answer", "no answer"]


@pytest.mark.parametrize(
    ("verified", "reason"), [(True, "not part of the verified evaluation"), (False, "")]
)
def test_only_verified_questions_of_verified_files(tmp_path: Path, verified: bool, reason: str):
    """Ordinary files have the same field, and there the question counts."""
    entries = [
        entry("yes", QuestionPartOfVerifiedEval=True),
        entry("no", QuestionPartOfVerifiedEval=False),
    ]
    found = read_questions(write(tmp_path / "dev.json", *entries, verified=verified))
    assert [question.unusable for question in found] == ["", reason]


def test_test_files_without_answers_are_refused(tmp_path: Path):
    without = {name: value for name, value in ENTRY.items() if name != "Answer"}
    path = write(tmp_path / "test.json", without)
    with pytest.raises(
        ValueError,
        match=r"test\.json: 'Data' must hold questions with answers, but of 1 none has one "
        r"\(TriviaQA's test sets have none\); take one of the official files with answers",
    ):
        read_questions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", r"'Data' must hold questions with answers, but of 0 none has one"),
        ('{"Data": [{"Question', r"dev\.json: the file must be whole JSON, but: "),
        ("nonsense", r"dev\.json: the file must be whole JSON, but: "),
        ('{"Data": [3]}', r"dev\.json: question 1: 'QuestionId' must be a text, but is None"),
        (
            '{"Data": [{"QuestionId": "a", "Question": 7}]}',
            r"question 1: 'Question' must be a text, but is 7; take one of the official files",
        ),
        (
            '{"Data": [{"QuestionId": "../a", "Question": "?"}]}',
            r"question 1: 'QuestionId' must be a file name of letters, .* but is '\.\./a'",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "dev.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_questions(tmp_path / "dev.json")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"dev\.json: TriviaQA's file must exist, but does"):
        read_questions(tmp_path / "dev.json")
