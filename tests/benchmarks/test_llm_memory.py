"""Loading needs the weights' size and little more, in every format: bytes, in own processes."""

from pathlib import Path

import llm_memory
import pytest

ALLOWANCE_MB = 60  # the libraries' pages, a layer, the largest tensor in both dtypes: 25 to 40


@pytest.mark.parametrize(
    ("kind", "dtype", "bytes_each"), [("one-file", "float32", 4), ("meta-2", "bfloat16", 2)]
)
def test_the_peak_is_the_weights_size(tmp_path: Path, kind: str, dtype: str, bytes_each: int):
    """Files of 120 MB. Held twice, or beside what they become, they would need 120 MB more."""
    folder = llm_memory.write(tmp_path / "llm", kind, "60m")
    weights, peak = llm_memory.in_own_process("--memory-of", str(folder), dtype)
    assert weights == pytest.approx(62.6e6 * bytes_each / 2**20, rel=0.01)
    assert peak < weights + ALLOWANCE_MB
