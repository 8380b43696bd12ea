"""The frozen LLM: exact without padding, frozen, and never in a checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM

from fairseq_audiochat.modules.frozen_llm import load_llm


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


def test_a_folder_that_is_no_llm_is_refused(llm_path: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"must be a folder with config\.json, but has none"):
        load_llm(tmp_path, torch.float32)
    shutil.copy(llm_path / "tokenizer.model", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    with pytest.raises(ValueError, match="must be a causal LM in Hugging Face format, but"):
        load_llm(tmp_path, torch.float32)


def test_a_sliding_window_is_refused(tmp_path: Path):
    folder = tiny.make_llm(tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "sliding_window": 16}))
    with pytest.raises(ValueError, match="has a sliding window of 16; use a model without one"):
        load_llm(folder, torch.float32)
