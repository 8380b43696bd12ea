"""Fonts for text of any script: of what is installed, and escapes for what no font has.

Knows no picture.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

DEFAULT = "DejaVu Sans"  # comes with matplotlib
_PLACEHOLDERS = "Last Resort"  # comes with matplotlib too: has a box for every character


def font_families(texts: Iterable[str]) -> list[str]:
    """Font families that have the characters of texts, as far as installed ones do.

    matplotlib looks a character up in one after another. DejaVu Sans is the first.
    """
    missing = {ord(character) for text in texts for character in text} - _covered(DEFAULT)
    families = [DEFAULT]
    for family in _installed() if missing else ():
        found = missing & _covered(family)
        if found:
            families.append(family)
            missing -= found
    return families


def with_escapes(text: str, families: Iterable[str]) -> str:
    r"""Text in which characters that no family has are their code points (``\u0e01``)."""
    covered = frozenset().union(*map(_covered, families))
    return "".join(
        character if ord(character) in covered else ascii(character)[1:-1] for character in text
    )


def _installed() -> list[str]:
    entries = _font_manager().fontManager.ttflist
    names = {entry.name for entry in entries if not entry.name.startswith(_PLACEHOLDERS)}
    return sorted(names)


@cache
def _covered(family: str) -> frozenset[int]:
    """Code points that the upright font of a family has."""
    manager = _font_manager()
    try:
        path = manager.findfont(family, fallback_to_default=False)
        return frozenset(manager.get_font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):  # no outlines, as fonts of emoji
        return frozenset()


def _font_manager() -> Any:
    """Imported when a picture is drawn: not everybody has matplotlib."""
    from matplotlib import font_manager

    return font_manager
