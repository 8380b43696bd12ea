"""Every script of the miniature finds what it imports, and explains itself."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "mini"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_script_imports(name: str):
    assert importlib.import_module(name).__doc__
