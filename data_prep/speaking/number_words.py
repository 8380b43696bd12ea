"""English numbers in words: years, decades, ordinals, money, fractions, Roman numerals.

num2words writes the words; this file finds out what kind of number one is. Knows no abbreviations.
"""

import re
from collections.abc import Callable

from extra import imported

_NUMBER = r"\d{1,3}(?:,\d{3})+|\d+"
_CURRENCIES = {
    "$": ("dollar", "dollars", "cents"),
    "£": ("pound", "pounds", "pence"),
    "€": ("euro", "euros", "cents"),
    "¥": ("yen", "yen", ""),
}
_SCALES = {"k": "thousand", "m": "million", "bn": "billion"}
_REGNAL = (  # of kings, queens and popes: "the eighth"; elsewhere a Roman numeral is a cardinal
    "Albert Alexander Alfonso Baldwin Benedict Boniface Carlos Catherine Charles Christian Clement "
    "Darius Edward Elizabeth Ferdinand Francis Frederick George Gregory Gustav Haakon Harald Henry "
    "Innocent Ivan James John Joseph Juan Leo Leopold Louis Mehmed Napoleon Nicholas Otto Paul "
    "Peter Philip Pius Ptolemy Rameses Ramesses Ramses Richard Robert Sixtus Urban Wilhelm William "
    "Xerxes"
).split()


_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"


def _roman(number: int) -> str:
    units = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
    return "X" * (number // 10) + units[number % 10]


_ROMAN = {_roman(number): number for number in range(1, 40)}
_NUMERALS = "|".join(sorted(_ROMAN, key=len, reverse=True))


def in_words(text: str) -> str:
    """Write every number in words."""
    for pattern, write in _RULES:
        text = pattern.sub(write, text)
    return text


def _words(number: int, **form: str) -> str:
    """A number in words; ``form`` is num2words's ``to``."""
    return str(imported("num2words", "speech").num2words(number, **form))


def _cardinal(digits: str) -> str:
    number = digits.replace(",", "")
    if (len(number) > 1 and number.startswith("0")) or len(number) > 15:
        return " ".join(_words(int(digit)) for digit in number)  # a code, not a quantity
    return _words(int(number)).replace(",", "")


def _year(digits: str) -> str:
    return _words(int(digits), to="year")


def _ordinal(digits: str) -> str:
    return _words(int(digits.replace(",", "")), to="ordinal").replace(",", "")


def _plural(words: str) -> str:
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _decade(match: re.Match[str]) -> str:
    digits = match[1]
    return _plural(_year(digits) if len(digits) == 4 else _cardinal(digits))


def _year_range(match: re.Match[str]) -> str:
    return f"{_year(match[1])} to {_year(match[2]) if len(match[2]) == 4 else _cardinal(match[2])}"


def _money(match: re.Match[str]) -> str:
    one, many, hundredths = _CURRENCIES[match["currency"]]
    whole, part, scale = match["whole"], match["part"], match["scale"]
    if scale:
        words = _decimal_words(whole, part) if part else _cardinal(whole)
        return f"{words} {_SCALES.get(scale.lower(), scale)} {many}"
    words = f"{_cardinal(whole)} {one if whole == '1' else many}"
    return (
        f"{words} and {_cardinal(part.lstrip('0'))} {hundredths}"
        if (part or "").strip("0")
        else words
    )


def _decimal_words(whole: str, part: str) -> str:
    return f"{_cardinal(whole)} point {' '.join(_words(int(digit)) for digit in part)}"


def _fraction(match: re.Match[str]) -> str:
    above, below = int(match[1]), int(match[2])
    if not (0 < above < below and (above == 1 or below <= 10)):
        return f"{_cardinal(match[1])} {_cardinal(match[2])}"  # 9/11, 24/7
    names = {2: "half", 4: "quarter"}
    name = names.get(below) or _words(below, to="ordinal")
    return f"{_words(above)} {name if above == 1 else 'halves' if below == 2 else f'{name}s'}"


def _time(match: re.Match[str]) -> str:
    hours, minutes = _cardinal(match[1]), match[2]
    if minutes == "00":
        return f"{hours} o'clock"
    return f"{hours} {'oh ' if minutes[0] == '0' else ''}{_words(int(minutes))}"


def _roman_words(match: re.Match[str]) -> str:
    name, numeral = match[1], match[2]
    if name in _REGNAL:
        return f"{name} the {_words(_ROMAN[numeral], to='ordinal')}"
    return match[0] if len(numeral) == 1 else f"{name} {_words(_ROMAN[numeral])}"


def _degrees(match: re.Match[str]) -> str:
    scale = {"C": " Celsius", "F": " Fahrenheit"}.get(match[1] or "", "")
    return f" degrees{scale}"


_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]
_RULES: list[_Rule] = [
    (re.compile(rf"\b([A-Z]\w+) ({_NUMERALS})\b"), _roman_words),
    (
        re.compile(
            rf"(?P<currency>[$£€¥]) ?(?P<whole>{_NUMBER})(?:\.(?P<part>\d+))?"
            r"(?: ?(?P<scale>(?:thousand|[mb]illion|trillion|[km]|bn)\b))?",
            re.IGNORECASE,
        ),
        _money,
    ),
    (
        re.compile(
            rf"(?:\b[Tt]he )?\b([1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?: of)? (?=(?:{_MONTHS})\b)"
        ),
        lambda m: f"the {_ordinal(m[1])} of ",
    ),
    (
        re.compile(rf"\b({_MONTHS}) ([1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\b(?!:\d)"),
        lambda m: f"{m[1]} {_ordinal(m[2])}",
    ),
    (re.compile(r"(?<=\d) ?%"), lambda _: " percent"),
    (re.compile(r"(?<=\d) ?°(?: ?([CF])\b)?"), _degrees),
    (re.compile(r"\b(1\d{3}|20\d\d) ?[-–—] ?(\d{4}|\d\d)\b"), _year_range),
    (re.compile(r"['‘’]?\b(1\d\d0|20\d0|[2-9]0)['’]?s\b"), _decade),
    (re.compile(r"(?<!\w)['‘’](?=\d\d\b)"), lambda _: ""),
    (
        re.compile(rf"\b({_NUMBER})(?:st|nd|rd|th)\b"),
        lambda m: _ordinal(m[1]),
    ),
    (re.compile(r"\b(\d{1,2}):([0-5]\d)\b"), _time),
    (re.compile(r"\b(\d+)/(\d+)\b"), _fraction),
    (re.compile(r"(?<=\d) ?[-–—] ?(?=\d)"), lambda _: " to "),
    (re.compile(rf"({_NUMBER})\.(\d+)"), lambda m: f" {_decimal_words(m[1], m[2])} "),
    (re.compile(r"(?<![\w,])(1\d{3}|20\d\d)(?![\w,]\d)(?!\w)"), lambda m: _year(m[1])),
    (re.compile(_NUMBER), lambda m: f" {_cardinal(m[0])} "),
]
