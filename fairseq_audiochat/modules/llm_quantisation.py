"""Storing a frozen LLM's weights in 8 bits, through transformers and torchao.

Only the weights of the layers' matrices: they are rounded to 8 bits with a scale for each row,
and multiplied in the dtype that the LLM computes in, so that gradients flow through them as through
others. Embeddings and head stay as they are.
"""

from typing import Any

from transformers import TorchAoConfig

QUANTISATIONS = ("none", "int8")


def quantisation_config(quantisation: str) -> Any:
    """What transformers needs to know; None for ``none``.

    Raises:
        ImportError: If torchao is missing.
    """
    if quantisation == "none":
        return None
    try:
        from torchao.quantization import Int8WeightOnlyConfig
    except ImportError as error:
        raise ImportError(
            "--llm-quantisation int8 needs the package torchao, which is not installed; run pip "
            "install 'fairseq-audiochat[quantisation]'."
        ) from error
    return TorchAoConfig(Int8WeightOnlyConfig())
