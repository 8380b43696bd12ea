"""What a configuration states is read: every field changes the logits, or what is computed."""

import json
from pathlib import Path
from typing import Any

import families
import pytest
import tiny
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from fairseq_audiochat.modules.llm_loading import load_llm

TOKENS = torch.randint(3, 300, (90,), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose files say nothing about rotary scaling."""
    return tiny.make_llm(tmp_path_factory.mktemp("plain") / "llm")


def rewritten(folder: Path, target: Path, **fields: Any) -> Path:
    """A copy with other fields; the weights are linked. None takes a field away."""
    target.mkdir()
    for path in folder.iterdir():
        if path.name != "config.json":
            (target / path.name).symlink_to(path)
    config = {**json.loads((folder / "config.json").read_text()), **fields}
    config = {key: value for key, value in config.items() if value is not None}
    (target / "config.json").write_text(json.dumps(config))
    return target


@torch.no_grad()
def logits(folder: Path) -> Tensor:
    llm = load_llm(folder, torch.float32)
    return llm.logits(llm.packed_hidden(llm.embed(TOKENS), [len(TOKENS)]))


LLAMA31 = {key: value for key, value in families.LLAMA31_ROPE.items() if key != "rope_theta"}


@pytest.mark.parametrize(
    "fields",
    [
        {"rms_norm_eps": 1e-2},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
        {"rope_parameters": {**families.LLAMA31_ROPE}},
        {"rope_parameters": {**families.LLAMA31_ROPE, "high_freq_factor": 40.0}},
        {"rope_parameters": None, "rope_theta": 500_000.0},  # as releases before 2026 write it
        {"rope_parameters": None, "rope_theta": 1e4, "rope_scaling": LLAMA31},
        {"hidden_act": "gelu"},
    ],
    ids=str,
)
def test_a_field_changes_the_logits_as_in_transformers(plain: Path, tmp_path: Path, fields):
    folder = rewritten(plain, tmp_path / "llm", **fields)
    changed = logits(folder)
    stock = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = stock(TOKENS.unsqueeze(0)).logits[0]
    torch.testing.assert_close(changed, expected, atol=1e-4, rtol=1e-4)
    assert (changed - logits(plain)).abs().max() > 1e-2


def test_old_names_and_new_names_mean_the_same(plain: Path, tmp_path: Path):
    new = rewritten(plain, tmp_path / "new", rope_parameters=families.LLAMA31_ROPE)
    old = rewritten(
        plain,
        tmp_path / "old",
        rope_parameters=None,
        rope_theta=500_000.0,
        rope_scaling=LLAMA31,
        dtype=None,
        torch_dtype="float32",
    )
    assert torch.equal(logits(new), logits(old))


def test_the_width_of_heads_is_read(tmp_path: Path):
    """Qwen3's is no quotient of the other sizes."""
    llm = load_llm(families.make_family(tmp_path / "llm", "qwen-3"), torch.float32)
    assert llm.read_prefix(llm.embed(TOKENS[:4]))[0].keys.shape == (1, 2, 4, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_stored_dtype_is_read(plain: Path, tmp_path: Path, dtype: torch.dtype):
    """Whatever the configuration claims: the fingerprint is that of the stored numbers."""
    stock = AutoModelForCausalLM.from_pretrained(plain).to(dtype)
    stock.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.model").symlink_to(plain / "tokenizer.model")
    for claimed in ("float16", "float32", "bfloat16"):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": claimed}))
        llm = load_llm(tmp_path, torch.float32)
        assert torch.equal(llm.causal_lm.lm_head.weight, stock.lm_head.weight.float())
        assert load_llm(tmp_path, torch.bfloat16).fingerprint == llm.fingerprint


def test_within_a_sliding_window_nothing_slides(tmp_path: Path):
    """The window is the context: transformers' own attention gives the same up to there."""
    folder = families.make_family(tmp_path / "llm", "mistral-0.1")
    llm = load_llm(folder, torch.float32)
    assert llm.max_positions == 40
    stock = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        for length, same in ((40, True), (41, False)):
            ours = llm.logits(llm.packed_hidden(llm.embed(TOKENS[:length]), [length]))
            theirs = stock(TOKENS[:length].unsqueeze(0)).logits[0]
            assert torch.allclose(ours, theirs, atol=1e-4) == same


def test_a_window_that_is_not_used_limits_nothing(tmp_path: Path):
    """Qwen2's configurations state one beside ``use_sliding_window: false``."""
    folder = families.make_family(tmp_path / "llm", "qwen-2.5", sliding_window=9)
    assert load_llm(folder, torch.float32).max_positions == 256


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_frequencies_that_grow_with_the_sequence_end_the_context(
    plain: Path, tmp_path: Path, kind: str
):
    """Beyond, a sequence's frequencies would be those of the longest one in the batch."""
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0}
    rope["original_max_position_embeddings"] = 50
    if kind == "longrope":
        rope |= {"short_factor": [1.0, 1.5, 2.0, 2.5], "long_factor": [4.0, 4.0, 4.0, 4.0]}
    llm = load_llm(rewritten(plain, tmp_path / "llm", rope_parameters=rope), torch.float32)
    assert llm.max_positions == 50


def test_a_context_must_be_stated(tmp_path: Path, plain: Path):
    from transformers import BloomConfig

    from fairseq_audiochat.modules.llm_context import max_positions

    with pytest.raises(ValueError, match="must state max_position_embeddings, but that of 'bloom'"):
        max_positions(BloomConfig())
