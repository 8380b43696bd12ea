"""Conversations: the turns alternate, and the clips keep their order."""

from typing import Any

import pytest

from fairseq_audiochat.data.conversation import (
    AssistantTurn,
    AudioPart,
    Conversation,
    UserTurn,
)

USER, ANSWER = UserTurn(["hi"]), AssistantTurn("hello")


def test_turns_alternate() -> None:
    assert len(Conversation([USER, ANSWER, USER]).turns) == 3


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([USER, USER, USER], r"Turn 1 must be a AssistantTurn, but is a UserTurn; turns alternate"),
        ([ANSWER], r"Turn 0 must be a UserTurn, but is a AssistantTurn; .* the user begins"),
        ([USER, ANSWER], r"A conversation must end with a user turn, but has 2 turns"),
        ([], r"A conversation must end with a user turn, but has 0 turns"),
    ],
)
def test_other_orders_are_refused(turns: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conversation(turns)


def test_user_says_something() -> None:
    with pytest.raises(
        ValueError, match=r"must have at least one text or audio part, but has none"
    ):
        UserTurn([])


def test_parts_of_a_message_are_kept_apart() -> None:
    """A line break stands beside a recording where no blank does, and nowhere else."""
    a, b = AudioPart("a"), AudioPart("b")
    for parts, expected in (
        (["say", a, b, "again"], ["say", "\n", a, "\n", b, "\n", "again"]),
        (["say: ", a, "\nagain"], ["say: ", a, "\nagain"]),
        (["say", " it", "", a], ["say", " it", "\n", a]),
        ([a], [a]),
    ):
        assert UserTurn.of_messages_parts(parts).parts == expected


def test_clips_in_the_prompts_order() -> None:
    first = UserTurn([AudioPart("a"), "and", AudioPart("b")])
    conversation = Conversation([first, ANSWER, UserTurn(["then", AudioPart("c")])])
    assert conversation.clips() == ["a", "b", "c"]
    assert Conversation.of_audio("a").clips() == ["a"]
    assert Conversation.of_text("a").clips() == []
