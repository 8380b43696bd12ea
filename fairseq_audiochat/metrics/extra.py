"""The libraries of the extra ``evaluate``, imported when they are needed."""

import importlib
from types import ModuleType


def statistics() -> ModuleType:
    """``scipy.stats``.

    Raises:
        ModuleNotFoundError: If the extra is not installed.
    """
    return _imported("scipy.stats")


def statsmodels(module: str) -> ModuleType:
    """``statsmodels.stats.MODULE``; importing it takes a second.

    Raises:
        ModuleNotFoundError: If the extra is not installed.
    """
    return _imported(f"statsmodels.stats.{module}")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The statistics of an evaluation need {name.partition('.')[0]}, which is not "
            "installed; pip install 'fairseq-audiochat[evaluate]'."
        ) from error
