"""The library that makes the page, or a sentence that it is missing."""

from typing import Any


def gradio() -> Any:
    """Gradio.

    Raises:
        ModuleNotFoundError: If the extra is not installed.
    """
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "The page needs gradio, which is not installed; pip install 'fairseq-audiochat[demo]'."
        ) from error
    return gradio
