"""Whether everybody would read a text aloud in the same way. Knows no corpus."""

import re
import unicodedata

LINES = "line break or tab"
ADDRESS = "URL or e-mail address"
CODE = "code or markup"
SCRIPT = "letters of another script"
SYMBOL = "symbol that nobody speaks"
FEW_LETTERS = "not mostly letters"

LEAST_SHARE_OF_LETTERS = 0.75  # of all characters but blanks
_HYPHENS_DASHES_QUOTES = "-\u2010\u2011\u2013\u2014'\"\u2018\u2019\u201c\u201d"
PUNCTUATION = frozenset(".,?!;:()\u2026" + _HYPHENS_DASHES_QUOTES)
SPOKEN_SYMBOLS = frozenset("%&+$£€°")  # percent, and, plus, dollars, ...

_ADDRESS = re.compile(
    r"\w@\w|://|\bwww\.|\b\w+\.(?:com|org|net|edu|gov|io|ai|dev|co\.uk)\b", re.IGNORECASE
)
_CODE = re.compile(
    r"`|</?\w+[^<>]*>|&\w+;|&#\d+;"  # code quotes, tags, HTML entities
    r"|\*\*?\w|\w\*|^#+ |\[[^\]]*\]\(|^[-*] "  # emphasis, headings, links and lists of Markdown
    r"|\w\(\)|\w+_\w|[{}\\]|[=!<>]=|[-=]>|::|//|/\*"  # calls, names and operators
    r"|\.(?:py|js|ts|css|html?|exe|json|csv|txt|pdf|sh)\b",
    re.IGNORECASE,
)


def why_not_speakable(text: str) -> tuple[str, str]:
    """The first rule that a text breaks.

    Args:
        text: Without blanks around it.

    Returns:
        The rule, and what breaks it; two empty strings if the text is speakable.
    """
    if match := re.search(r"[\n\r\t\v\f\u2028\u2029]", text):
        return LINES, repr(match[0])
    for rule, pattern in ((ADDRESS, _ADDRESS), (CODE, _CODE)):
        if match := pattern.search(text):
            return rule, match[0]
    for character in text:
        if rule := _character_problem(character):
            return rule, character
    letters = sum(character.isalpha() for character in text)
    others = sum(not character.isspace() for character in text)
    if letters < LEAST_SHARE_OF_LETTERS * others:
        return FEW_LETTERS, f"{letters} of {others}"
    return "", ""


def _character_problem(character: str) -> str:
    if character.isalpha() or unicodedata.combining(character):
        name = unicodedata.name(character, "")
        return "" if name.startswith(("LATIN ", "COMBINING ")) else SCRIPT
    plain = character in "0123456789 \u00a0"
    return "" if plain or character in PUNCTUATION | SPOKEN_SYMBOLS else SYMBOL
