"""Every character is drawn, or spelt."""

import pytest
from matplotlib import font_manager

from fairseq_audiochat.evaluate.alignment import fonts
from fairseq_audiochat.evaluate.alignment.fonts import DEFAULT, font_families, with_escapes

NOBODY_HAS = "\U000f1234"  # private use


def test_latin_and_greek_need_one_font():
    assert font_families(["what", "été", "ελλάδα"]) == [DEFAULT]


def test_what_no_font_has_is_its_code_point():
    families = font_families([f"a{NOBODY_HAS}"])
    assert families == [DEFAULT]
    assert with_escapes(f"a{NOBODY_HAS}é", families) == "a\\U000f1234é"


def test_another_installed_font_helps(monkeypatch: pytest.MonkeyPatch):
    """STIX comes with matplotlib, and has characters that DejaVu Sans lacks."""
    stix = font_manager.get_font(font_manager.findfont("STIXGeneral")).get_charmap()
    dejavu = font_manager.get_font(font_manager.findfont(DEFAULT)).get_charmap()
    character = chr(min(set(stix) - set(dejavu)))
    families = font_families(["a", character])
    assert len(families) == 2
    assert with_escapes(character, families) == character


def test_boxes_for_every_character_are_no_font():
    assert not any(name.startswith("Last Resort") for name in fonts._installed())


def test_a_font_that_cannot_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    def refuse(path):
        raise RuntimeError("no outlines")

    monkeypatch.setattr(font_manager, "get_font", refuse)
    assert fonts._covered.__wrapped__(DEFAULT) == frozenset()
