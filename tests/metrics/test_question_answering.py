"""TriviaQA's official rules, by hand."""

import math

import pytest

from fairseq_audiochat.metrics.question_answering import normalise_answer, score_answer


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        # Case, white space.
        ("Paris", "paris"),
        ("  New \t York\n", "new york"),
        ("ÉMILE Zola", "émile zola"),
        ("", ""),
        # Articles, as whole words only.
        ("The Beatles", "beatles"),
        ("an apple a day", "apple day"),
        ("Another theatre", "another theatre"),
        ("The The", ""),
        ("Vitamin A", "vitamin"),
        # Punctuation becomes a blank; SQuAD's rules delete it.
        ("Sunset Blvd.", "sunset blvd"),
        ("rock'n'roll", "rock n roll"),
        ("Jean-Paul Sartre", "jean paul sartre"),
        ("AC/DC", "ac dc"),
        ("$1,000", "1 000"),
        ("3.14", "3 14"),
        ("What?!", "what"),
        ("(I Can't Get No) Satisfaction", "i can t get no satisfaction"),
        ("C#", "c"),
        # The quotes that string.punctuation lacks.
        ("O’Connor", "o connor"),
        ("‘Allo ‘Allo!", "allo allo"),
        ("´Hello` it's", "hello it s"),
        # Others stay: the official list names four.
        ("“quoted”", "“quoted”"),
        ("1914–1918", "1914–1918"),
        # Underscores, which the official script replaces first, by a blank.
        ("Sherlock_Holmes", "sherlock holmes"),
        ("the_end", "end"),
        # The order: punctuation before articles, so that an initial can be one.
        ("U.S.A.", "u s"),
        ("A. A. Milne", "milne"),
        ("Catherine-the-Great", "catherine great"),
        ("an-other's a", "other s"),
        ("Ken Dodd & The Diddymen", "ken dodd diddymen"),
        # A letter with an accent is part of its word.
        ("thé", "thé"),
    ],
)
def test_normalisation_by_hand(written: str, normalised: str):
    assert normalise_answer(written) == normalised
    assert normalise_answer(normalised) == normalised


@pytest.mark.parametrize(
    ("answer", "aliases", "exact", "f1", "occurs"),
    [
        ("The Sunset Boulevard!", ["sunset boulevard"], True, 1.0, True),
        # Tokens: musical is sunset boulevard (4 with one "the" gone); 2 common; 2 * 2 / (4 + 2).
        ("The musical is Sunset Boulevard.", ["Sunset Boulevard"], False, 4 / 6, True),
        # The best alias counts: "sunset blvd" has 1 common of 2 + 2; "sunset" 2 * 1 / (2 + 1).
        ("Sunset Strip", ["sunset blvd", "sunset"], False, 2 / 3, True),
        # Tokens are counted as often as they come: common 2, 2 * 2 / (3 + 2).
        ("new york york", ["york york"], False, 4 / 5, True),
        # Whole tokens: "art" is not in "Bart", "1 000" not in "1 0000".
        ("Bart Simpson", ["art"], False, 0.0, False),
        ("It cost $1,0000", ["1,000"], False, 2 / 6, False),
        # In order and side by side: 2 common of 3 + 2, but not as one.
        ("York is new", ["New York"], False, 4 / 5, False),
        ("", ["paris"], False, 0.0, False),
        # An alias of nothing but articles: exact by the official rules, without a token in common.
        ("The", ["The The"], True, 0.0, False),
        ("I love The The", ["The The", "love"], False, 2 / 3, True),
    ],
)
def test_scores_by_hand(answer: str, aliases: list[str], exact: bool, f1: float, occurs: bool):
    score = score_answer(answer, aliases)
    assert (score.exact, score.occurs) == (exact, occurs)
    assert math.isclose(score.f1, f1)


def test_more_aliases_never_make_it_worse():
    aliases = ["blue whale", "whales", "balaenoptera musculus"]
    answer = "It is the blue whale, Balaenoptera musculus"
    few, many = score_answer(answer, aliases[:1]), score_answer(answer, aliases)
    assert many.f1 >= few.f1
    assert (many.exact, many.occurs) >= (few.exact, few.occurs)
    assert score_answer(answer, aliases[::-1]) == many
