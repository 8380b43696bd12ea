"""statsmodels, imported where a statistic is asked for: an extra, and a second to import.

Knows no statistic.
"""

import importlib
from types import ModuleType


def statsmodels(module: str) -> ModuleType:
    """``statsmodels.stats.MODULE``.

    Raises:
        ModuleNotFoundError: If statsmodels is not installed.
    """
    try:
        return importlib.import_module(f"statsmodels.stats.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "intervals, kappas and paired tests are computed with statsmodels, but it is not "
            "installed; pip install 'fairseq-audiochat[evaluate]'."
        ) from error
