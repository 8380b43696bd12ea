"""Packed layers multiply as torch's own do, take their place, and leave no second copy behind."""

import copy
import gc
import pickle
import platform
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fairseq_audiochat.modules import packed_linear as module
from fairseq_audiochat.modules.greedy_response import respond
from fairseq_audiochat.modules.llm_loading import load_llm
from fairseq_audiochat.modules.packed_linear import PackedLinear, can_pack, pack_linear_layers

needs_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="layers are packed on x86 only"
)
needs_bfloat16 = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="this CPU has no bfloat16 products",
)
pytestmark = needs_x86
DTYPES = [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("one_row", [True, False])
@pytest.mark.parametrize("shape", [(1,), (10,), (2, 3), (300,), (1, 1, 1), (0,)], ids=str)
@pytest.mark.parametrize(("width", "outputs"), [(16, 1), (33, 7), (512, 520)])
@torch.no_grad()
def test_the_same_products(
    width: int, outputs: int, shape: tuple[int, ...], one_row: bool, bias: bool, dtype: torch.dtype
):
    torch.manual_seed(0)
    linear = nn.Linear(width, outputs, bias=bias, dtype=dtype)
    inputs = torch.randn(*shape, width).to(dtype)
    found = PackedLinear(linear, one_row)(inputs)
    assert found.shape == (*shape, outputs)
    assert found.dtype == dtype
    exact = nn.functional.linear(inputs.double(), linear.weight.double())
    if bias:
        exact = exact + linear.bias.double()
    # Sums in float32, once rounded.
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 2**-8}[dtype]
    torch.testing.assert_close(found.double(), exact, atol=tolerance, rtol=tolerance)


def test_what_onednn_is_told_of_rows(monkeypatch: pytest.MonkeyPatch):
    """A small layer gains nothing from blocks for one row."""
    told: list[int | None] = []
    reorder = torch.ops.mkldnn._reorder_linear_weight

    def recorded(weight: Tensor, rows: int | None) -> Tensor:
        told.append(rows)
        return reorder(weight, rows)

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", recorded)
    for outputs, one_row in ((512, True), (513, True), (513, False)):
        PackedLinear(nn.Linear(512, outputs), one_row)
    assert told == [None, 4, None]


@torch.no_grad()
def test_inputs_of_any_stride():
    linear = nn.Linear(16, 24)
    packed = PackedLinear(linear)
    for inputs in (torch.randn(16, 5).t(), torch.randn(5, 2, 16)[:, 1], torch.randn(5, 32)[:, ::2]):
        torch.testing.assert_close(packed(inputs), linear(inputs))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("one_row", [True, False])
def test_who_asks_for_rows_gets_them(one_row: bool, dtype: torch.dtype):
    """Some families' layers ask for the weight's dtype; a loss asks whether it is trained."""
    linear = nn.Linear(33, 7, dtype=dtype)
    packed = PackedLinear(linear, one_row)
    assert torch.equal(packed.weight, linear.weight)
    assert packed.weight.dtype == dtype
    assert not packed.weight.requires_grad
    assert packed.bias is not None
    assert torch.equal(packed.bias, linear.bias)
    assert not packed.training


def test_no_gradient_is_lost_silently():
    packed = PackedLinear(nn.Linear(4, 3))
    with pytest.raises(RuntimeError, match="gives no gradients, but its inputs require them"):
        packed(torch.zeros(2, 4, requires_grad=True))


def test_it_stays_where_it_is(llm_path: Path):
    llm = load_llm(llm_path, torch.float32)
    llm.make_generation_fast_()
    llm.half().cpu()  # asks for no other device
    with pytest.raises(RuntimeError, match="must stay on the CPU, but was to move to meta; load"):
        llm.to("meta")
    for duplicate in (copy.deepcopy, copy.copy, pickle.dumps):
        with pytest.raises(RuntimeError, match="neither copied nor pickled; copy the LLM before"):
            duplicate(llm.head)


class Special(nn.Linear):
    """A linear layer that may compute something else."""


@pytest.mark.parametrize(
    "kept",
    [
        nn.Linear(4, 3, dtype=torch.float16),
        nn.Linear(4, 3, dtype=torch.float64),
        nn.Linear(4, 3, device="meta"),
        Special(4, 3),
    ],
    ids=["float16", "float64", "meta", "subclass"],
)
def test_what_is_left_alone(kept: nn.Linear):
    assert not can_pack(kept)
    parent = nn.Sequential(kept)
    pack_linear_layers(parent)
    assert parent[0] is kept


@pytest.mark.parametrize("lacks", ["x86", "oneDNN", "bfloat16"])
def test_other_processors_keep_torchs_layers(lacks: str, monkeypatch: pytest.MonkeyPatch):
    if lacks == "x86":
        monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    elif lacks == "oneDNN":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    else:
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not can_pack(nn.Linear(4, 3, dtype=torch.bfloat16))
    assert can_pack(nn.Linear(4, 3)) == (lacks == "bfloat16")


def test_an_llm_gives_its_rows_up(llm_path: Path):
    """What remains are embeddings and norms; the matrices exist once, in blocks."""
    llm = load_llm(llm_path, torch.float32)
    rows = [weakref.ref(m.weight) for m in llm.modules() if isinstance(m, nn.Linear)]
    assert len(rows) == 2 * 7 + 1
    llm.make_generation_fast_()
    llm.make_generation_fast_()  # as for a second model of an ensemble
    gc.collect()
    assert [row() for row in rows] == [None] * len(rows)
    left = {name.split(".")[-2] for name, _ in llm.causal_lm.named_parameters()}
    assert left == {"embed_tokens", "input_layernorm", "post_attention_layernorm", "norm"}


@torch.no_grad()
def test_an_llm_predicts_the_same(llm_path: Path):
    """Logits of packed sequences and greedy responses, before and after."""
    llm = load_llm(llm_path, torch.float32)
    tokens, prompts = torch.arange(3, 30), [[1, 5, 9], [1, 7, 8, 11, 40]]

    def predict() -> tuple[Tensor, list[list[int]]]:
        logits = llm.logits(llm.packed_hidden(llm.embed(tokens), [12, 15]))
        return logits, [found.ids for found in respond(llm, prompts, [20, 20], eos_id=2)]

    expected, expected_ids = predict()
    llm.make_generation_fast_()
    logits, ids = predict()
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-5)
    assert ids == expected_ids
    assert any(len(response) > 3 for response in ids)
