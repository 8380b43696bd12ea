"""Imports go down only: the tree is the architecture."""

import ast
from pathlib import Path

import fairseq_audiochat

PACKAGE = Path(fairseq_audiochat.__file__).parent
MAY_IMPORT = {
    "data": set(),
    "metrics": set(),
    "modules": {"data"},
    "models": {"data", "modules"},
    "criterions": {"modules", "metrics"},
    "tasks": {"data", "modules", "metrics", "models"},
    "evaluate": {"data", "modules", "metrics", "models", "tasks", "saving", "export", "program"},
    "chat": {"data", "modules", "models"},
    "terminal": {"data", "modules", "chat", "saving", "program"},
    "page": {"data", "modules", "evaluate", "chat", "program"},
    "plan": {"data", "modules", "models", "tasks", "program"},
    "export": {"data", "modules", "models", "saving", "program"},
}
STARTED_BY = {"chat/__main__.py": {"terminal"}}  # a program may stand above its package


def imports(path: Path) -> set[str]:
    """The packages of ours that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    ours = (name.split(".") for name in names)
    return {parts[1] for parts in ours if parts[0] == "fairseq_audiochat" and len(parts) > 1}


def test_imports_go_down_only():
    for package, below in MAY_IMPORT.items():
        for path in (PACKAGE / package).rglob("*.py"):
            if path.name != "__init__.py":
                above = STARTED_BY.get(f"{package}/{path.name}", set())
                assert imports(path) <= below | {package} | above, path


def test_every_package_is_listed():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(MAY_IMPORT)
