"""What a voice is given to say, by hand."""

import pytest
from speaking.spoken_text import spoken_text, transcript


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        # Years, decades, ranges.
        ("Who won in 1993?", "Who won in nineteen ninety-three?"),
        ("In 1900, 1066, 2000, 1605", None),
        ("a 1970s film", "a nineteen seventies film"),
        ("a 70s hit, an '80s hit", "a seventies hit, an eighties hit"),
        ("the 1900s", "the nineteen hundreds"),
        ("the 1914-18 war", "the nineteen fourteen to eighteen war"),
        ("1939–1945", "nineteen thirty-nine to nineteen forty-five"),
        ("Who won in '66?", "Who won in sixty-six?"),
        # Dates.
        ("on 10th December 1993", "on the tenth of December nineteen ninety-three"),
        ("on the 1st of May, the 4 July", "on the first of May, the fourth of July"),
        ("on Dec. 7, 1941", "on December seventh, nineteen forty-one"),
        ("Nov. 5th or 5 Nov", "November fifth or the fifth of November"),
        ("in May 1945", "in May nineteen forty-five"),
        # Ordinals, counts, codes.
        ("the 21st", "the twenty-first"),
        ("20,000,000 copies", "twenty million copies"),
        ("1,066 men", "one thousand and sixty-six men"),
        ("Agent 007", "Agent zero zero seven"),
        ("The M25, U2 and a 3D film", "The M twenty-five, U two and a three D film"),
        # Decimals, fractions, percent, degrees, times, scores.
        ("3.14 and 0.5", "three point one four and zero point five"),
        ("3/4 of 1/2", "three quarters of one half"),
        ("2½ dozen", "two and one half dozen"),
        ("9/11 and 24/7", "nine eleven and twenty-four seven"),
        ("50% or 5 %", "fifty percent or five percent"),
        (
            "32°F is 0 °C, 90°",
            "thirty-two degrees Fahrenheit is zero degrees Celsius, ninety degrees",
        ),
        ("at 8:05, 10:30 or 12:00", "at eight oh five, ten thirty or twelve o'clock"),
        ("won 4-2", "won four to two"),
        (
            "Henry VIII's 2nd wife in the 1530s",
            "Henry the eighth's second wife in the fifteen thirties",
        ),
        # Money.
        ("$1 and £20", "one dollar and twenty pounds"),
        ("$19.99", "nineteen dollars and ninety-nine cents"),
        ("$1.5 million", "one point five million dollars"),
        ("€3bn", "three billion euros"),
        ("£1.05", "one pound and five pence"),
        # Roman numerals: of kings, and of others; a letter alone is none.
        ("Henry VIII's wife", "Henry the eighth's wife"),
        ("World War II and Rocky IV", "World War two and Rocky four"),
        ("Malcolm X and Am I", "Malcolm X and Am I"),
        # Abbreviations and initials.
        ("Dr. Who, Mr Bean & Mrs. May", "Doctor Who, Mister Bean and Missus May"),
        ("St. Paul lives in Baker St. now", "Saint Paul lives in Baker Street now"),
        ("J.R. Ewing and C. S. Lewis", "J R Ewing and C S Lewis"),
        ("the U.S.A.", "the U S A"),
        ("a No 1 hit, No. 10", "a number one hit, number ten"),
        ("5 ft 6, 100km and 60 mph", None),
        ("c. 1500 BC", "circa fifteen hundred BC"),
        # As it is typed.
        ("the ____ of Oz", "the blank of Oz"),
        ("Tom &amp; Jerry", "Tom and Jerry"),
        ('In "AC/DC" what*', 'In "AC DC" what'),
        ("What does RSPCA mean?", "What does RSPCA mean?"),
        ("  too   many\tblanks ", "too many blanks"),
    ],
)
def test_by_hand(written: str, spoken: str | None):
    if spoken is not None:
        assert spoken_text(written) == spoken


def test_several_years_and_units():
    assert transcript(spoken_text("In 1900, 1066, 2000, 1605")) == (
        "in nineteen hundred ten sixty six two thousand sixteen oh five"
    )
    assert transcript(spoken_text("5 ft 6, 100km and 60 mph")) == (
        "five feet six one hundred kilometres and sixty miles per hour"
    )


@pytest.mark.parametrize(
    ("spoken", "words"),
    [
        ("Who won in nineteen ninety-three?", "who won in nineteen ninety three"),
        ("What's ‘Émile’ O’Connor’s 'name'?", "what's émile o'connor's name"),
        ("'...'", ""),
        ("rock 'n' roll", "rock n roll"),
    ],
)
def test_transcripts_are_words(spoken: str, words: str):
    assert transcript(spoken) == words


def test_no_digit_is_left():
    written = "0 1 12 123 1234 12345 1,2 3.4.5 6-7-8 9th 1990's 50s $ 5 £5.5 7.5% ½ x² 10:99 1/0"
    assert not any(character.isdigit() for character in spoken_text(written))
