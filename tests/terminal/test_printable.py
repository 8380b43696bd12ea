"""What reaches the screen."""

import sys
import unicodedata

from fairseq_audiochat.terminal.printable import printable


def test_no_control_character_but_newline_and_tab():
    """Every character of Unicode, by its category."""
    everything = [chr(code) for code in range(sys.maxunicode + 1)]
    shown = printable("".join(everything))
    assert len(shown) == len(everything)
    left = {character for character in shown if unicodedata.category(character) == "Cc"}
    assert left == {"\n", "\t"}
    changed = {a for a, b in zip(everything, shown) if a != b}
    directions = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    assert {unicodedata.bidirectional(a) for a in changed if unicodedata.category(a) == "Cf"} == (
        directions
    )
    assert {unicodedata.category(a) for a in changed} == {"Cc", "Cf"}


def test_signs():
    assert printable("a\x1b[31m\x00\x7f\x9b\r\n") == "a␛[31m␀␡\ufffd␍\n"
