"""The libraries of the extra ``evaluate``, imported when they are needed."""

from types import ModuleType


def statistics() -> ModuleType:
    """``scipy.stats``.

    Raises:
        ModuleNotFoundError: If the extra is not installed.
    """
    try:
        import scipy.stats
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "The statistics of an evaluation need scipy, which is not installed; pip install "
            "'fairseq-audiochat[evaluate]'."
        ) from error
    return scipy.stats
