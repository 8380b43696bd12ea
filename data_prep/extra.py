"""Libraries of the package's extras, imported when they are needed. Knows no script."""

import importlib
from types import ModuleType


def imported(name: str, extra: str) -> ModuleType:
    """A library.

    Args:
        name: Of the module.
        extra: Which brings it.

    Raises:
        ModuleNotFoundError: If it is not installed, with the line that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"This needs {name}, which is not installed; pip install 'fairseq-audiochat[{extra}]'."
        ) from error
