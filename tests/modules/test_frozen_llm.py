"""The frozen LLM: exact without padding, frozen, and never in a checkpoint."""

import gc
import json
import shutil
import weakref
from pathlib import Path

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM

from fairseq_audiochat.modules.llm_loading import load_llm


def test_packed_sequences_equal_stock_transformers_alone(llm_path: Path):
    llm = load_llm(llm_path, torch.float32)
    stock = AutoModelForCausalLM.from_pretrained(llm_path, attn_implementation="eager").eval()
    lengths = [5, 1, 17]
    tokens = [torch.randint(3, 300, (length,)) for length in lengths]
    embeddings = torch.cat([llm.embed(ids) for ids in tokens])
    logits = llm.logits(llm.packed_hidden(embeddings, lengths)).split(lengths)
    for ids, packed in zip(tokens, logits):
        alone = stock(ids.unsqueeze(0)).logits[0]
        torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-5)


def test_packed_gradients_equal_stock_transformers_alone(llm_path: Path):
    llm = load_llm(llm_path, torch.float32)
    stock = AutoModelForCausalLM.from_pretrained(llm_path, attn_implementation="eager").eval()
    lengths = [7, 12]
    packed = llm.embed(torch.randint(3, 300, (sum(lengths),))).requires_grad_()
    llm.logits(llm.packed_hidden(packed, lengths)).logsumexp(-1).sum().backward()
    for part, grad in zip(packed.detach().split(lengths), packed.grad.split(lengths)):
        alone = part.unsqueeze(0).requires_grad_()
        stock(inputs_embeds=alone).logits.logsumexp(-1).sum().backward()
        torch.testing.assert_close(grad, alone.grad[0], atol=1e-4, rtol=1e-4)


def test_a_common_prefix_is_read_once_and_changes_nothing(llm_path: Path):
    llm = load_llm(llm_path, torch.float32)
    stock = AutoModelForCausalLM.from_pretrained(llm_path, attn_implementation="eager").eval()
    lengths = [7, 1, 12]
    prefix = llm.embed(torch.randint(3, 300, (5,)))
    packed = llm.embed(torch.randint(3, 300, (sum(lengths),))).requires_grad_()
    logits = llm.logits(llm.packed_hidden(packed, lengths, prefix))
    logits.logsumexp(-1).sum().backward()
    parts = zip(*(x.split(lengths) for x in (packed.detach(), logits, packed.grad)))
    for part, got, gradient in parts:
        alone = torch.cat((prefix, part)).unsqueeze(0).requires_grad_()
        expected = stock(inputs_embeds=alone).logits[0, 5:]
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-5)
        expected.logsumexp(-1).sum().backward()
        torch.testing.assert_close(gradient, alone.grad[0, 5:], atol=1e-4, rtol=1e-4)


def test_an_llm_that_nobody_holds_is_gone_at_once(llm_path: Path):
    """Gigabytes do not wait for Python's search for cycles."""
    gc.disable()
    try:
        llm = load_llm(llm_path, torch.float32)
        weights = weakref.ref(llm.head.weight)
        del llm
        assert weights() is None
    finally:
        gc.enable()


def test_checkpointed_activations_give_the_same_gradients_from_less(llm_path: Path):
    lengths = [9, 14]
    plain, checkpointed = load_llm(llm_path, torch.float32), load_llm(llm_path, torch.float32)
    checkpointed.checkpoint_activations()
    checkpointed.checkpoint_activations()  # as for a second model of an ensemble
    prefix = plain.embed(torch.randint(3, 300, (4,)))
    packed = plain.embed(torch.randint(3, 300, (sum(lengths),)))
    gradients, kept = [], []
    for llm in (plain, checkpointed):
        numbers: list[int] = []
        leaf = packed.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, numbers=numbers: numbers.append(tensor.numel()) or tensor,
            lambda tensor: tensor,
        ):
            hidden = llm.packed_hidden(leaf, lengths, prefix)
        hidden.square().sum().backward()
        gradients.append(leaf.grad)
        kept.append(sum(numbers))
    assert torch.equal(*gradients)
    assert kept[1] < kept[0] / 3
    assert not any(module.training for module in checkpointed.modules())
    assert checkpointed.state_dict() == {}


def test_it_is_frozen_and_in_eval_mode(llm_path: Path):
    llm = load_llm(llm_path, torch.float32).train()
    assert not any(module.training for module in llm.modules())
    assert not any(parameter.requires_grad for parameter in llm.parameters())


def test_its_tensors_are_in_no_state_dict(llm_path: Path):
    wrapper = torch.nn.ModuleDict(
        {"llm": load_llm(llm_path, torch.float32), "own": torch.nn.Linear(2, 2)}
    )
    before = wrapper["llm"].embedding_std()
    state = wrapper.state_dict()
    assert sorted(state) == ["own.bias", "own.weight"]
    wrapper.load_state_dict(state, strict=True)
    assert wrapper["llm"].embedding_std() == before
    with pytest.raises(RuntimeError, match=r"Missing key.*own\.bias"):
        wrapper.load_state_dict({"own.weight": state["own.weight"]}, strict=True)
    with pytest.raises(ValueError, match="must not hold tensors of the LLM, but has 1"):
        wrapper.load_state_dict({**state, "llm.causal_lm.lm_head.weight": torch.zeros(1)})


def test_tied_embeddings_load(tmp_path: Path):
    """One tensor under two names: a state dict without the LLM must be complete for both."""
    llm = load_llm(tiny.make_llm(tmp_path / "llm", tie_word_embeddings=True), torch.float32)
    wrapper = torch.nn.ModuleDict({"llm": llm})
    wrapper.load_state_dict(wrapper.state_dict(), strict=True)
    head, embedding = llm.causal_lm.get_output_embeddings(), llm.causal_lm.get_input_embeddings()
    assert head.weight is embedding.weight


def test_fingerprint_does_not_depend_on_the_compute_dtype(llm_path: Path):
    assert (
        load_llm(llm_path, torch.float32).fingerprint
        == load_llm(llm_path, torch.bfloat16).fingerprint
    )


def test_fingerprint_names_what_differs(llm_path: Path, tmp_path: Path):
    llm = load_llm(llm_path, torch.float32)
    tiny.make_llm(tmp_path / "weights", seed=1)
    shutil.copy(llm_path / "tokenizer.model", tmp_path / "weights")
    other_weights = load_llm(tmp_path / "weights", torch.float32)
    difference = llm.fingerprint.difference_from(other_weights.fingerprint._asdict())
    assert difference.startswith("embedding ")
    shutil.copytree(llm_path, tmp_path / "eps")
    config = json.loads((tmp_path / "eps/config.json").read_text())
    config["rms_norm_eps"] *= 10  # public copies of Llama-2 differ in just this
    (tmp_path / "eps/config.json").write_text(json.dumps(config))
    other_eps = load_llm(tmp_path / "eps", torch.float32)
    difference = llm.fingerprint.difference_from(other_eps.fingerprint._asdict())
    assert difference.startswith("architecture ")
    assert "," not in difference


def test_fingerprint_survives_as_a_tensor(llm_path: Path):
    fingerprint = load_llm(llm_path, torch.float32).fingerprint
    tensor = fingerprint.to_tensor()
    average = (tensor + tensor + tensor) // 3  # as fairseq averages integer tensors
    assert fingerprint.from_tensor(average) == fingerprint
