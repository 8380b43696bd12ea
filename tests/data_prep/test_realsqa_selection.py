"""Which prompts people are asked to read: each rule, in its order, with its words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import oasst
import pytest
import tiny
from name_tagger import make_name_tagger
from realsqa.entities import capitalised_names, load_tagger
from realsqa.selection import normalise, select
from realsqa.speakable import why_not_speakable
from realsqa.trees import Root, read_roots

GOOD = "What is the capital of France?"


def roots(folder: Path, *trees: dict[str, Any]) -> list[Root]:
    return list(read_roots(oasst.write_trees(folder / "trees.jsonl", list(trees))))


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"role": "assistant"}, "no prompt of a user", "assistant"),
        ({"role": None}, "no prompt of a user", ""),
        ({"deleted": True}, "deleted", ""),
        ({"review_result": False}, "refused by reviewers", ""),
        ({"state": "halted_by_moderator"}, "tree that was not accepted", "halted_by_moderator"),
        ({"state": "aborted_low_grade"}, "tree that was not accepted", "aborted_low_grade"),
        ({"state": "initial_prompt_review"}, "tree that was not accepted", "initial_prompt_review"),
        ({"synthetic": True}, "written by a model", ""),
        ({"lang": "de"}, "not English", "de"),
        ({"lang": None}, "not English", ""),
        ({"labels": {"pii": {"value": 0.5}}}, "not fit to be read aloud", "pii 0.50"),
        ({"text": " \n"}, "empty text", ""),
        ({"text": "France " * 14 + "is"}, "100 characters or more", "100"),
        ({"text": "In France\nor not?"}, "line break or tab", "'\\n'"),
        ({"text": "Is www.france.fr in France?"}, "URL or e-mail address", "www."),
        ({"text": "Why does `ls` fail in France?"}, "code or markup", "`"),
        ({"text": "Is it Москва, France?"}, "letters of another script", "\u041c"),
        ({"text": "Is France big ☺"}, "symbol that nobody speaks", "☺"),
        ({"text": "Is 1 2 3 4 5 in France?"}, "not mostly letters", "10 of 16"),
        ({"text": "What is a capital?"}, "no named entity", ""),
    ],
)
def test_each_rule_leaves_a_tree_out(
    tmp_path: Path, changes: dict[str, Any], reason: str, detail: str
) -> None:
    trees = [oasst.tree("kept", GOOD), oasst.tree("out", **{"text": "Is France big?", **changes})]
    selection = select(roots(tmp_path, *trees), capitalised_names)
    assert [prompt.tree for prompt in selection.prompts] == ["kept"]
    assert [(row.tree, row.reason, row.detail) for row in selection.left_out] == [
        ("out", reason, detail)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"text": "x" * 91 + " France?"},  # 99 characters
        {"text": "  Is  France big?\n"},
        {"lang": "en-GB"},
        {"labels": {"pii": {"value": 0.49}, "violence": {"value": 1.0}, "spam": {"count": 0}}},
        {"labels": None, "review_result": None, "deleted": None, "synthetic": None},
        {"state": "prompt_lottery_waiting"},
    ],
)
def test_what_breaks_no_rule_is_kept(tmp_path: Path, changes: dict[str, Any]) -> None:
    selection = select(
        roots(tmp_path, oasst.tree("t", **{"text": "Is France big?", **changes})), capitalised_names
    )
    assert [(p.names, p.text) for p in selection.prompts] == [
        (["France"], " ".join(changes.get("text", "Is France big?").split()))
    ]
    assert not selection.left_out


def test_a_long_prompt_is_shown_by_its_beginning(tmp_path: Path) -> None:
    selection = select(roots(tmp_path, oasst.tree("t", "ab\n" * 1_000)), capitalised_names)
    assert selection.left_out[0].text == ("ab " * 67)[:200]


def test_trees_without_a_prompt_and_without_a_state_are_counted(tmp_path: Path) -> None:
    bare = {"message_id": "b", "text": GOOD, "role": "prompter", "lang": "en"}  # all that must be
    trees = [{"message_tree_id": "a"}, {"message_tree_id": "b", "prompt": bare}]
    selection = select(roots(tmp_path, *trees), capitalised_names)
    assert selection.counts() == [("no prompt of a user", 1)]
    assert [prompt.text for prompt in selection.prompts] == [GOOD]


def test_duplicates_differ_in_case_accents_and_punctuation_alone(tmp_path: Path) -> None:
    texts = [
        "who is in Sao Paulo",
        "Who is in São  Paulo?!",
        "Who is in São Paulo 2?",
        "who is  “in” SAO PAULO...",
    ]
    trees = [oasst.tree(f"t{index}", text) for index, text in enumerate(texts)]
    selection = select(roots(tmp_path, *trees), capitalised_names)
    assert [prompt.tree for prompt in selection.prompts] == ["t0", "t2"]
    assert [(row.tree, row.reason, row.detail) for row in selection.left_out] == [
        ("t1", "duplicate", "t0"),
        ("t3", "duplicate", "t0"),
    ]
    assert normalise(texts[3]) == "who is in sao paulo"


def test_duplicate_of_what_has_no_name_is_no_duplicate(tmp_path: Path) -> None:
    trees = [oasst.tree("small", "is france big"), oasst.tree("tall", "Is France big?")]
    selection = select(roots(tmp_path, *trees), capitalised_names)
    assert [prompt.tree for prompt in selection.prompts] == ["tall"]
    assert [row.reason for row in selection.left_out] == ["no named entity"]


def test_every_tree_is_selected_or_counted_over_many_batches(tmp_path: Path) -> None:
    """Of 100 trees, i % 5 == 1 is German (20), i % 5 == 2 has no name (20), i % 5 == 3 repeats."""
    kinds: list[dict[str, Any]] = [
        {},
        {"lang": "de"},
        {"text": "is it big"},
        {"text": "Is France big?"},
        {},
    ]
    trees = [
        oasst.tree(f"t{i}", **{"text": f"Is France bigger than {i} m?", **kinds[i % 5]})
        for i in range(100)
    ]
    selection = select(roots(tmp_path, *trees), capitalised_names)
    # 40 of their own, and the first of the 20 that are the same.
    assert len(selection.prompts) == 41
    assert dict(selection.counts()) == {"not English": 20, "no named entity": 20, "duplicate": 19}
    assert Counter(row.tree for row in selection.left_out).most_common(1)[0][1] == 1
    assert str(selection).splitlines()[:2] == [
        "41 prompts selected, 59 trees left out",
        "       20 left out: not English",
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What is the capital of France?", ["France"]),
        ("who is obama", []),
        ("Explain Bitcoin", ["Bitcoin"]),
        ("Who is Barack Obama?", ["Barack Obama"]),
        ("Is it in New York's Central Park? Tell me. Paris is not.", ["New York's Central Park"]),
        ("Is it New York's?", ["New York"]),
        ("May I ask what I'd do in Rome? I\u2019m lost.", ["Rome"]),
        ('Who wrote "War and Peace"?', ["War", "Peace"]),
        ("He asked: What is GPT-3 or AT&T?", ["GPT-3", "AT&T"]),
        ("Where does Dr. Smith live?", ["Dr", "Smith"]),
        ("How To Cook Rice At Home", []),
        ("WHAT IS GOING ON HERE", []),
        ("Do I see it in 3D?", []),
        ("“Hello,” he said. “Goodbye.”", []),
    ],
)
def test_names_by_capitals(text: str, names: list[str]) -> None:
    assert capitalised_names([text]) == [names]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("mail me@home.org now", "URL or e-mail address"),
        ("what is on example.com today", "URL or e-mail address"),
        ("ftp://files and so on", "URL or e-mail address"),
        ("what does print() do", "code or markup"),
        ("why is <b>this</b> bold", "code or markup"),
        ("say **this** loudly", "code or markup"),
        ("# A heading", "code or markup"),
        ("- an item", "code or markup"),
        ("see [this](there)", "code or markup"),
        ("what is my_variable for", "code or markup"),
        ("Tom &amp; Jerry as a pair", "code or markup"),
        ("is a != b or a == b there", "code or markup"),
        ("open my notes.txt file", "code or markup"),
        ("one\ttwo", "line break or tab"),
        ("one\u2028two", "line break or tab"),
        ("either/or is what", "symbol that nobody speaks"),
        ("C# is what", "symbol that nobody speaks"),
        ("a zero\u200bwidth blank", "symbol that nobody speaks"),
        ("你好 to you", "letters of another script"),
        ("1234 5678 abcd", "not mostly letters"),
        ("Is nearly 50% of AT&T worth - or not worth - about $5, “really”… (yes or no)?", ""),
        ("Déjà vu at 5°, naïve façade!", ""),
    ],
)
def test_speakable(text: str, rule: str) -> None:
    assert why_not_speakable(text)[0] == rule


def test_letters_are_three_quarters() -> None:
    assert why_not_speakable("abc1") == ("", "")  # 3 of 4
    assert why_not_speakable("ab1") == ("not mostly letters", "2 of 3")


@pytest.fixture(scope="module")
def tagger_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = {"new": "B-LOC", "york": "I-LOC", "rome": "B-LOC", "monday": "B-DATE"}
    return make_name_tagger(tmp_path_factory.mktemp("ner"), tags)


def test_names_by_a_model(tagger_path: Path, tmp_path: Path) -> None:
    """It knows names that are written small; pieces of a name are one; a date is no name."""
    tagger = load_tagger(tagger_path)
    texts = ["is rome in new york?", "is it France on monday?", "rome"]
    assert tagger(texts) == [["rome", "new york"], [], ["rome"]]
    assert tagger(texts[:1]) == [["rome", "new york"]]
    trees = [oasst.tree(f"t{i}", text) for i, text in enumerate(texts)]
    selection = select(roots(tmp_path, *trees), tagger)
    assert [prompt.tree for prompt in selection.prompts] == ["t0", "t2"]
    assert selection.counts() == [("no named entity", 1)]


def test_folders_that_tag_no_names_are_refused(tagger_path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json: --ner-model must be the folder of"):
        load_tagger(tmp_path)
    with pytest.raises(
        ValueError, match="must be a model for token classification, but is LlamaForCausalLM"
    ):
        load_tagger(tiny.make_llm(tmp_path / "llm"))
    config = json.loads((tagger_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": {"0": "X", "1": "Y"}}))
    with pytest.raises(ValueError, match=r"must hold 'O', for what is no name, but are X, Y; use"):
        load_tagger(tmp_path)
