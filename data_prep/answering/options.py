"""Options of the scripts whose LLM is loaded in their own process. Knows no script."""

from typing import Protocol

import command
import torch

from fairseq_audiochat.modules.llm_quantisation import QUANTISATIONS
from fairseq_audiochat.modules.precision import DTYPES


class Options(Protocol):
    """A parser or a group of its options."""

    def add_argument(self, *args: object, **kwargs: object) -> object:
        """As argparse's."""


def add_llm_options(options: Options) -> None:
    """How the LLM is held, and how much it answers at a time."""
    add = options.add_argument
    add("--batch-size", type=command.positive_integer, default=64, help="prompts at a time")
    add(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="dtype in which the LLM computes; in half precision its ids can depend on the batch",
    )
    add(
        "--quantisation",
        choices=QUANTISATIONS,
        default="none",
        help="hold the LLM's weights in 8 or 4 bits (needs torchao); answers differ now and then",
    )
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
