"""What a user sets: ranges, options that play no part, and what is drawn."""

import copy
import math
import pickle
from collections import Counter
from typing import Any

import pytest
import torch

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.chat.token_choice import token_choice

LOGITS = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, but is 0"),
        ({"beam": 0}, "beam must be at least 1, but is 0"),
        ({"temperature": -1.0}, r"temperature must be at least 0, but is -1\.0"),
        ({"temperature": 1.0, "top_k": -1}, "top_k must be at least 0, but is -1"),
        ({"temperature": 1.0, "top_p": 0.0}, r"top_p must be above 0 and at most 1, but is 0\.0"),
        ({"temperature": 1.0, "beam": 2}, "beam must be 1 with a temperature above 0, but is 2"),
        ({"top_k": 3}, "top_k must be 0 without a temperature above 0, but is 3"),
        ({"top_p": 0.5}, r"top_p must be 1 without a temperature above 0, but is 0\.5"),
        ({"length_penalty": 2.0}, r"length_penalty must be 1 without a beam above 1, but is 2\.0"),
    ],
)
def test_options_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Decoding(**options)


def test_greedy_takes_the_most_probable():
    assert token_choice(Decoding())(LOGITS) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 1.0}, [0.4, 0.3, 0.2, 0.1]),
        # Squared: 16, 9, 4 and 1 of 30.
        ({"temperature": 0.5}, [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        ({"temperature": 1.0, "top_k": 2}, [4 / 7, 3 / 7, 0, 0]),
        # 0.4 and 0.3 are not 0.8 together, 0.4, 0.3 and 0.2 are.
        ({"temperature": 1.0, "top_p": 0.8}, [4 / 9, 3 / 9, 2 / 9, 0]),
        # The temperature comes first: 16 and 9 of 30 are more than 0.8.
        ({"temperature": 0.5, "top_p": 0.8}, [16 / 25, 9 / 25, 0, 0]),
    ],
    ids=str,
)
def test_tokens_are_drawn_as_they_are_probable(options: dict[str, Any], expected: list[float]):
    choice = token_choice(Decoding(seed=1, **options))
    draws = 1_000
    drawn = Counter(choice(LOGITS) for _ in range(draws))
    for token, probability in enumerate(expected):
        # Four standard deviations of a binomial share.
        tolerance = 4 * math.sqrt(probability * (1 - probability) / draws)
        assert abs(drawn[token] / draws - probability) <= tolerance


def test_an_answer_is_a_text_that_keeps_its_ids():
    answer = Answer("It is.", [5, 6], "length", dropped_turns=2)
    for same in (answer, copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert same == "It is."
        assert (same.ids, same.ended, same.dropped_turns) == ((5, 6), "length", 2)
    assert answer.message() == {"role": "assistant", "content": "It is.", "ids": [5, 6]}
    assert type(answer.message()["content"]) is str
