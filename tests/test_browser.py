"""What the tests of pages do where there is no browser."""

from pathlib import Path

import browser
import pytest


def test_a_named_program_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("AUDIOCHAT_CHROMIUM", str(program))
    assert browser.find_chromium() == str(program)


def test_a_wrong_name_is_no_reason_to_skip(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUDIOCHAT_CHROMIUM", "/nowhere/chromium")
    with pytest.raises(FileNotFoundError, match="AUDIOCHAT_CHROMIUM must be the path of Chromium"):
        browser.find_chromium()


def test_one_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AUDIOCHAT_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find_chromium() is None  # the tests are skipped, and name the variable
    assert "AUDIOCHAT_CHROMIUM" in browser.MISSING
    program = tmp_path / "google-chrome"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert browser.find_chromium() == str(program)
