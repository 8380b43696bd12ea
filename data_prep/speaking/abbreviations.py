"""English abbreviations and symbols in words.

Few, and those that stand for one thing in questions: what is not here is left to the voice, which
spells capitals. Knows no numbers.
"""

import re

_TITLES = {
    "Capt": "Captain",
    "Col": "Colonel",
    "Dr": "Doctor",
    "Fr": "Father",
    "Gen": "General",
    "Gov": "Governor",
    "Lt": "Lieutenant",
    "Maj": "Major",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Mt": "Mount",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Sen": "Senator",
    "Sgt": "Sergeant",
    "St": "Saint",
}
_WORDS = {
    "Ave.": "Avenue",
    "Co.": "Company",
    "Inc.": "Incorporated",
    "Jr.": "Junior",
    "Ltd.": "Limited",
    "Sr.": "Senior",
    "St.": "Street",  # before a name it is a title
    "aka": "also known as",
    "e.g.": "for example",
    "etc.": "et cetera",
    "i.e.": "that is",
    "vs": "versus",
    "vs.": "versus",
}
_BEFORE_NUMBERS = {"c": "circa", "ca": "circa", "No": "number", "Nos": "numbers", "Vol": "volume"}
_MONTHS = {
    "Jan": "January",
    "Feb": "February",
    "Apr": "April",
    "Aug": "August",
    "Sep": "September",
    "Sept": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
}
_UNITS = {
    "cm": "centimetres",
    "ft": "feet",
    "kg": "kilograms",
    "km": "kilometres",
    "km/h": "kilometres per hour",
    "kph": "kilometres per hour",
    "lb": "pounds",
    "lbs": "pounds",
    "mm": "millimetres",
    "mph": "miles per hour",
    "oz": "ounces",
    "yds": "yards",
}
_SYMBOLS = {"&": " and ", "+": " plus ", "=": " equals ", "@": " at "}


def _any_of(names: dict[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_TITLE = re.compile(rf"\b({_any_of(_TITLES)})(?:\. ?| )(?=[A-Z])")
_WORD = re.compile(rf"(?<![\w.])({_any_of(_WORDS)})(?!\w)")
_BEFORE_NUMBER = re.compile(rf"\b({_any_of(_BEFORE_NUMBERS)})\.? ?(?=\d)", re.IGNORECASE)
_MONTH = re.compile(  # beside a day or a year
    rf"\b({_any_of(_MONTHS)})\b\.?(?= \d)"
    rf"|(?:(?<=\d )|(?<=st |nd |rd |th ))({_any_of(_MONTHS)})\b\.?"
)
_UNIT = re.compile(rf"(?<=\d) ?({_any_of(_UNITS)})\b\.?(?!\w)")
_INITIALS = re.compile(r"\b(?:[A-Z]\. ?){2,}|\b[A-Z]\. ?(?=[A-Z][a-z])")
_SYMBOL = re.compile(f"[{re.escape(''.join(_SYMBOLS))}]")


def expand(text: str) -> str:
    """Write abbreviations out; the points of initials go, and their letters stand apart."""
    text = _TITLE.sub(lambda match: f"{_TITLES[match[1]]} ", text)
    text = _WORD.sub(lambda match: _WORDS[match[1]], text)
    text = _BEFORE_NUMBER.sub(_before_number, text)
    text = _MONTH.sub(lambda match: _MONTHS[match[1] or match[2]], text)
    text = _UNIT.sub(lambda match: f" {_UNITS[match[1]]}", text)
    text = _INITIALS.sub(_spell, text)
    return _SYMBOL.sub(lambda match: _SYMBOLS[match[0]], text)


def _before_number(match: re.Match[str]) -> str:
    names = {name.lower(): word for name, word in _BEFORE_NUMBERS.items()}
    return f"{names[match[1].lower()]} "


def _spell(match: re.Match[str]) -> str:
    return " ".join(re.findall("[A-Z]", match[0])) + " "
