"""Storing a frozen LLM's weights in 8 or 4 bits, through transformers and torchao.

Only the weights of the layers' matrices: rounded to 8 bits with a scale for each row (int8), or to
the 16 values of QLoRA's NormalFloat with a scale for each 64 (nf4, arXiv 2305.14314). They are
multiplied in the dtype that the LLM computes in, so that gradients flow through them as through
others. Embeddings and head stay as they are.
"""

from typing import Any

from transformers import TorchAoConfig

QUANTISATIONS = ("none", "int8", "nf4")
NF4_ENTRIES = 64 * 256  # of a block of scales


def quantisation_config(quantisation: str) -> Any:
    """What transformers needs to know; None for ``none``.

    Raises:
        ImportError: If torchao is missing.
    """
    if quantisation == "none":
        return None
    try:
        from torchao.prototype._nf4tensor_api import NF4WeightOnlyConfig
        from torchao.quantization import Int8WeightOnlyConfig
    except ImportError as error:
        raise ImportError(
            f"--llm-quantisation {quantisation} needs the package torchao, which is not installed; "
            "run pip install 'fairseq-audiochat[quantisation]'."
        ) from error
    configs = {"int8": Int8WeightOnlyConfig, "nf4": NF4WeightOnlyConfig}
    return TorchAoConfig(configs[quantisation]())
