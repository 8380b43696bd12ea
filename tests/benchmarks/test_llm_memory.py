"""Loading needs the weights' size and little more: bytes, in a process of its own."""

from pathlib import Path

import llm_memory
import pytest
import side_by_side

ALLOWANCE_MB = 60  # the libraries' pages, the largest tensor in both dtypes: 28 measured


@pytest.mark.parametrize("purpose", ["trains", "searches"])
def test_the_peak_is_the_weights_size(
    tmp_path: Path, purpose: str, monkeypatch: pytest.MonkeyPatch
):
    """A file of 120 MB. Beside what it becomes, or held twice, it would need 120 MB more.

    For a search the matrices are packed: if all were kept as they were too, 200 MB more.
    """
    if purpose == "searches":  # glibc would keep what is freed of matrices as small as these
        for name, value in side_by_side.FREED_IS_FREE.items():
            monkeypatch.setenv(name, value)
    folder = llm_memory.write(tmp_path / "llm", "one-file", "60m")
    options = ["--memory-of", str(folder), "float32", "none"]
    weights, peak = llm_memory.in_own_process(*options, purpose)
    assert weights == pytest.approx(62.6e6 * 4 / 2**20, rel=0.01)
    assert peak < weights + ALLOWANCE_MB
