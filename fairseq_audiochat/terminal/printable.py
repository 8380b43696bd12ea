"""Text that may be shown: whatever would command the terminal becomes a visible sign.

An answer is what an LLM makes of what somebody said; an escape sequence in it could hide text,
rename the window or type into the shell. Knows no terminal.
"""

_PICTURES = 0x2400  # Unicode's "control pictures": ␀ for 0, ␛ for ESC
_REPLACEMENT = "\ufffd"
_KEPT = "\n\t"
_C0 = {code: chr(_PICTURES + code) for code in range(0x20) if chr(code) not in _KEPT}
_C1 = dict.fromkeys(range(0x80, 0xA0), _REPLACEMENT)  # 0x9b is ESC [ in one character
# Marks that turn the direction of what follows, so that it reads as something else.
_DIRECTIONS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), _REPLACEMENT)
_SIGNS = {**_C0, 0x7F: "\u2421", **_C1, **_DIRECTIONS}


def printable(text: str) -> str:
    """The text with a sign for every control character but newline and tab."""
    return text.translate(_SIGNS)
