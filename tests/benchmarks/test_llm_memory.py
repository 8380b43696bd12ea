"""Loading needs the weights' size and little more: bytes, in a process of its own."""

from pathlib import Path

import llm_memory
import pytest

ALLOWANCE_MB = 60  # the libraries' pages, the largest tensor in both dtypes: 28 measured


def test_the_peak_is_the_weights_size(tmp_path: Path):
    """A file of 120 MB. Beside what it becomes, or held twice, it would need 120 MB more."""
    folder = llm_memory.write(tmp_path / "llm", "one-file", "60m")
    weights, peak = llm_memory.in_own_process("--memory-of", str(folder), "float32", "none")
    assert weights == pytest.approx(62.6e6 * 4 / 2**20, rel=0.01)
    assert peak < weights + ALLOWANCE_MB
