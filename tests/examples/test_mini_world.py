"""The miniature's world: what is held out, and what counts as right."""

import pytest
import world
import write_prompts


@pytest.fixture(scope="module", params=[world.QUICK_KINDS, world.FULL_KINDS])
def prompts(request: pytest.FixtureRequest) -> list[world.Prompt]:
    return world.prompts(request.param)


def texts(prompts: list[world.Prompt], split: str) -> set[str]:
    return {prompt.text for prompt in prompts if prompt.split == split}


def test_splits_share_no_sentence(prompts: list[world.Prompt]) -> None:
    train, dev, test = (texts(prompts, split) for split in ("train", "dev", "test"))
    assert len(train) + len(dev) + len(test) == len(prompts)  # no sentence is made twice
    assert not train & dev
    assert not train & test
    assert not dev & test


def test_every_held_out_word_is_in_train(prompts: list[world.Prompt]) -> None:
    train = {word for text in texts(prompts, "train") for word in text.split()}
    held_out = [prompt for prompt in prompts if prompt.split != "train"]
    seconds = [second for first in held_out for second in world.follow_ups(first)]
    assert {word for prompt in held_out + seconds for word in prompt.text.split()} <= train


def test_every_kind_is_held_out(prompts: list[world.Prompt]) -> None:
    kinds = {prompt.topic.kind for prompt in prompts}
    for split in ("dev", "test"):
        assert {prompt.topic.kind for prompt in prompts if prompt.split == split} == kinds


def test_taught_responses_are_right_and_prompts_are_transcripts(
    prompts: list[world.Prompt],
) -> None:
    for prompt in prompts:
        assert world.is_right(prompt.topic.response, prompt.topic.answer)
        assert prompt.text == world.plain(prompt.text)


def test_the_quick_world_is_part_of_the_full_one() -> None:
    quick, full = world.words(world.QUICK_KINDS), world.words(world.FULL_KINDS)
    assert (len(quick), len(full)) == (97, 114)
    assert set(quick) < set(full)


@pytest.mark.parametrize(
    ("response", "answer", "right"),
    [
        ("The capital of France is Paris.", "paris", True),
        ("paris", "Paris", True),
        ("The capital of France is Rome.", "Paris", False),
        ("The opposite of hot is cold.", "hot", False),  # the topic alone is no answer
        ("The capital of France is Paris. Yes.", "Paris", False),
        ("It is a carpet.", "pet", False),  # whole words only
        ("Anna saw a dog.", "Anna saw a dog", True),
        ("Emma saw a dog.", "Anna saw a dog", False),
        ("", "Paris", False),
        ("", "", False),
    ],
)
def test_judge(response: str, answer: str, right: bool) -> None:
    assert world.is_right(response, answer) is right


def test_follow_ups_need_the_first_turn() -> None:
    """The same second turn has other answers after other first turns."""
    by_text = {prompt.text: prompt for prompt in world.prompts(world.QUICK_KINDS)}

    def answer(first: str, second: str) -> str:
        (prompt,) = (p for p in world.follow_ups(by_text[first]) if p.text == second)
        return prompt.topic.answer

    assert answer("what is the capital of france", "and italy") == "Rome"
    assert answer("what is the language of france", "and italy") == "Italian"
    assert answer("what is the capital of france", "how about the language") == "French"
    assert answer("what is the language of italy", "how about the capital") == "Rome"
    assert answer("my name is rosa", "what is my name") == "Rosa"
    assert world.follow_ups(by_text["and italy"]) == []


def test_written_prompts_hold_each_sentence_before_any_twice() -> None:
    held = [p for p in world.prompts(world.QUICK_KINDS) if p.split == "test"]
    rows = list(write_prompts.single_turns(held, "test", len(held) + 5, seed=1))
    assert len({row[0] for row in rows}) == len(rows)
    assert {text for _, text, _, _ in rows[: len(held)]} == {prompt.text for prompt in held}


def test_word_lists_and_dialogues_repeat_with_the_seed() -> None:
    vocabulary = world.words(world.QUICK_KINDS)
    lists = list(write_prompts.word_lists(vocabulary, 50, seed=1))
    assert lists == list(write_prompts.word_lists(vocabulary, 50, seed=1))
    assert all(3 <= len(text.split()) <= 5 for _, text, _, _ in lists)
    rows = list(write_prompts.dialogues(world.prompts(world.QUICK_KINDS), 10, seed=1))
    assert [row[0][-6:] for row in rows] == ["turn-1", "turn-2"] * 10
    assert {row[2] for row in rows[1::2]} == {"follow_up"}
