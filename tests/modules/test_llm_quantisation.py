"""An LLM in 8 or 4 bits: fewer bytes, the dequantised weights' numbers, gradients, no other LLM."""

import sys
from pathlib import Path

import pytest
import test_meta_format
import tiny
import torch
from llm_memory import stored_bytes
from torch import Tensor, nn
from torchao.quantization import NF4Tensor
from transformers import AutoModelForCausalLM

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_loading import load_llm
from fairseq_audiochat.modules.llm_quantisation import quantisation_config
from fairseq_audiochat.modules.packed_linear import can_pack

LENGTHS = [9, 14]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ordinary weights: those of other tests are so large that every rounding shows."""
    sizes = {"hidden_size": 256, "intermediate_size": 512, "initializer_range": 0.04}
    return tiny.make_llm(tmp_path_factory.mktemp("quantised") / "llm", **sizes)


@pytest.fixture(scope="module", params=["int8", "nf4"])
def quantisation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def llm(folder: Path, quantisation: str) -> FrozenLlm:
    return load_llm(folder, torch.float32, quantisation)


def dequantised(parameter: Tensor) -> Tensor:
    """A plain tensor of the numbers that it stands for."""
    if isinstance(parameter, NF4Tensor):
        return parameter.get_original_weight().float()
    return parameter.dequantize().float()  # of a plain one: itself


def answer(llm: FrozenLlm, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradients that a training sends to what stands in the prompt."""
    leaf = embeddings.clone().requires_grad_()
    logits = llm.logits(llm.packed_hidden(leaf, LENGTHS))
    logits.logsumexp(-1).sum().backward()
    assert leaf.grad is not None
    return logits.detach(), leaf.grad


def test_it_computes_with_the_dequantised_weights(folder: Path, llm: FrozenLlm, quantisation: str):
    """The same LLM with its weights rounded, as plain tensors."""
    rounded, plain = load_llm(folder, torch.float32), load_llm(folder, torch.float32)
    quantised = dict(llm.causal_lm.named_parameters())
    for name, parameter in rounded.causal_lm.named_parameters():
        parameter.data = dequantised(quantised[name])
    embeddings = llm.embed(torch.arange(3, 3 + sum(LENGTHS)))
    got, expected, original = (answer(model, embeddings) for model in (llm, rounded, plain))
    for mine, theirs, far in zip(got, expected, original):
        assert (mine - theirs).norm() < 1e-4 * theirs.norm()  # fp32, other order
        # int8: 127 steps to the largest of a row, about 1 % of the others; nf4: 16 values in all
        low, high = {"int8": (1e-4, 0.1), "nf4": (1e-2, 0.5)}[quantisation]
        assert low < (mine - far).norm() / far.norm() < high


def test_the_layers_weigh_less(llm: FrozenLlm, folder: Path, quantisation: str):
    plain = dict(load_llm(folder, torch.float32).causal_lm.named_parameters())
    for name, parameter in llm.causal_lm.named_parameters():
        expected = 4.0 * parameter.numel()
        if "_proj" in name and quantisation == "int8":  # a byte each, a scale and a zero per row
            expected = parameter.numel() + 5 * parameter.size(0)
        elif (
            "_proj" in name
        ):  # half a byte, a byte per 64, two scales per 64 x 256; 16 values, a mean
            expected = parameter.numel() * (1 / 2 + 1 / 64 + 4 / (64 * 256)) + 17 * 4
        assert stored_bytes(parameter) == expected, name
        assert parameter.shape == plain[name].shape


def test_it_is_the_same_llm_for_checkpoints(folder: Path, llm: FrozenLlm):
    """What is stored is what is identified: a training may go on quantised, or not."""
    assert llm.fingerprint == load_llm(folder, torch.bfloat16).fingerprint
    wrapper = torch.nn.ModuleDict({"llm": llm, "own": torch.nn.Linear(2, 2)})
    embeddings = llm.embed(torch.arange(23))
    before = answer(llm, embeddings)[0]
    state = wrapper.state_dict()
    assert sorted(state) == ["own.bias", "own.weight"]
    wrapper.load_state_dict(state, strict=True)
    wrapper.half()  # as fairseq's --fp16 does
    assert torch.equal(answer(llm, embeddings)[0], before)
    assert not any(parameter.requires_grad for parameter in llm.parameters())


def test_only_safetensors_are_quantised(folder: Path, tmp_path: Path):
    meta = test_meta_format.write(tmp_path / "meta", test_meta_format.make_weights(8), 1)
    (meta / "tokenizer.model").symlink_to(folder / "tokenizer.model")
    with pytest.raises(ValueError, match="must be in safetensors files to be quantised, but are n"):
        load_llm(meta, torch.float32, "int8")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for name in ("config.json", "tokenizer.model"):
        (pickled / name).symlink_to(folder / name)
    torch.save(AutoModelForCausalLM.from_pretrained(folder).state_dict(), pickled / "x.bin")
    (pickled / "x.bin").rename(pickled / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match="use its copy in Hugging Face format, or leave quantisati"
    ):
        load_llm(pickled, torch.float32, "int8")


def test_sizes_that_nf4_has_no_blocks_for(tmp_path: Path):
    small = tiny.make_llm(tmp_path / "llm")
    with pytest.raises(
        ValueError, match=r"multiples of 16,384 entries .* 'layers.0.self_attn.q_proj' has 1,"
    ):
        load_llm(small, torch.float32, "nf4")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    assert quantisation_config("none") is None
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ImportError, match=r"install 'fairseq-audiochat\[quantisation\]'"):
        quantisation_config("int8")


@pytest.mark.skipif(not can_pack(nn.Linear(1, 1)), reason="layers are packed on x86 only")
@torch.no_grad()
def test_a_search_packs_what_is_not_quantised(folder: Path, quantisation: str):
    """The head alone; the layers stay as torchao holds them."""
    llm = load_llm(folder, torch.float32, quantisation)
    embeddings = llm.embed(torch.arange(3, 3 + sum(LENGTHS)))
    expected = llm.logits(llm.packed_hidden(embeddings, LENGTHS))
    llm.make_generation_fast_()
    linear = [name for name, part in llm.named_modules() if isinstance(part, nn.Linear)]
    assert linear
    assert all("_proj" in name for name in linear)
    torch.testing.assert_close(llm.logits(llm.packed_hidden(embeddings, LENGTHS)), expected)
