"""Meta's format against a plain implementation of Meta's model, on the files themselves."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairseq_audiochat.modules.meta_format import load_meta_format, read_meta_config

DIM, HEADS, LAYERS, FFN, VOCABULARY, EPSILON = 32, 8, 2, 48, 50, 1e-3
SPLIT = {"tok_embeddings": 1, "wo": 1, "w2": 1, "wq": 0, "wk": 0, "wv": 0, "w1": 0, "w3": 0}
SPLIT |= {"output": 0}


def make_weights(kv_heads: int) -> dict[str, Tensor]:
    """A whole random model under Meta's names."""
    generator = torch.Generator().manual_seed(3)
    width = DIM // HEADS
    shapes = {"tok_embeddings": (VOCABULARY, DIM), "norm": (DIM,), "output": (VOCABULARY, DIM)}
    for i in range(LAYERS):
        shapes |= {
            f"layers.{i}.attention.wq": (HEADS * width, DIM),
            f"layers.{i}.attention.wk": (kv_heads * width, DIM),
            f"layers.{i}.attention.wv": (kv_heads * width, DIM),
            f"layers.{i}.attention.wo": (DIM, HEADS * width),
            f"layers.{i}.feed_forward.w1": (FFN, DIM),
            f"layers.{i}.feed_forward.w2": (DIM, FFN),
            f"layers.{i}.feed_forward.w3": (FFN, DIM),
            f"layers.{i}.attention_norm": (DIM,),
            f"layers.{i}.ffn_norm": (DIM,),
        }
    return {
        f"{name}.weight": 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def write(folder: Path, weights: dict[str, Tensor], shards: int, **params: object) -> Path:
    """The release's files; ``rope.freqs`` is in the genuine ones too."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"dim": DIM, "n_heads": HEADS, "n_layers": LAYERS, "norm_eps": EPSILON}
    sizes |= {"vocab_size": -1, "multiple_of": 256}
    (folder / "params.json").write_text(json.dumps({**sizes, **params}))
    for number in range(shards):
        shard = {"rope.freqs": torch.zeros(2)}
        for name, weight in weights.items():
            dim = SPLIT.get(name.split(".")[-2])
            part = weight if dim is None else weight.chunk(shards, dim)[number]
            shard[name] = part.clone()
        torch.save(shard, folder / f"consolidated.{number:02}.pth")
    return folder


def meta_logits(weights: dict[str, Tensor], tokens: Tensor, kv_heads: int, theta: float) -> Tensor:
    """Llama as Meta writes it: neighbours in a head are the parts of complex numbers."""
    width, length = DIM // HEADS, len(tokens)
    frequencies = theta ** (-torch.arange(0, width, 2)[: width // 2].float() / width)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    turns = torch.polar(torch.ones_like(angles), angles).unsqueeze(1)  # (T, 1, d / 2)

    def turn(x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * turns).flatten(-2)

    def norm(x: Tensor, name: str) -> Tensor:
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON)
        return x * scale * weights[f"{name}.weight"]

    x = weights["tok_embeddings.weight"][tokens]
    causal = torch.full((length, length), float("-inf")).triu(1)
    for i in range(LAYERS):
        layer = {k.split(".")[-2]: w for k, w in weights.items() if k.startswith(f"layers.{i}.")}
        y = norm(x, f"layers.{i}.attention_norm")
        query = turn((y @ layer["wq"].T).unflatten(1, (HEADS, width)))
        key = turn((y @ layer["wk"].T).unflatten(1, (kv_heads, width)))
        value = (y @ layer["wv"].T).unflatten(1, (kv_heads, width))
        key, value = (z.repeat_interleave(HEADS // kv_heads, dim=1) for z in (key, value))
        scores = torch.einsum("qhd,khd->hqk", query, key) * width**-0.5 + causal
        attended = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value)
        x = x + attended.flatten(1) @ layer["wo"].T
        y = norm(x, f"layers.{i}.ffn_norm")
        gate = torch.nn.functional.silu(y @ layer["w1"].T)
        x = x + (gate * (y @ layer["w3"].T)) @ layer["w2"].T
    return norm(x, "norm") @ weights["output.weight"].T


@pytest.mark.parametrize("shards", [1, 2, 8])
@pytest.mark.parametrize(("kv_heads", "theta"), [(8, 10_000.0), (8, 500.0)])
def test_logits_are_those_of_metas_model(tmp_path: Path, shards: int, kv_heads: int, theta: float):
    weights = make_weights(kv_heads)
    folder = write(tmp_path, weights, shards, rope_theta=theta)
    llm = load_meta_format(folder, "sdpa", torch.float32).eval()
    tokens = torch.randint(VOCABULARY, (11,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = llm(tokens.unsqueeze(0)).logits[0]
    torch.testing.assert_close(
        got, meta_logits(weights, tokens, kv_heads, theta), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("shards", [1, 2])
def test_grouped_queries(tmp_path: Path, shards: int):
    weights = make_weights(kv_heads=2)
    llm = load_meta_format(
        write(tmp_path, weights, shards, n_kv_heads=2), "sdpa", torch.float32
    ).eval()
    tokens = torch.arange(9)
    with torch.no_grad():
        got = llm(tokens.unsqueeze(0)).logits[0]
    expected = meta_logits(weights, tokens, kv_heads=2, theta=10_000.0)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_sizes_are_read_and_not_assumed(tmp_path: Path):
    config = read_meta_config(write(tmp_path, make_weights(8), 2, rope_theta=7.0))
    assert (config.vocab_size, config.intermediate_size) == (VOCABULARY, FFN)
    assert config.rms_norm_eps == EPSILON
    assert config.rope_parameters["rope_theta"] == 7.0
    assert config.max_position_embeddings == 4_096
    assert config.dtype == torch.float32


def test_what_is_missing_is_named(tmp_path: Path):
    folder = write(tmp_path / "gap", make_weights(8), 4)
    (folder / "consolidated.01.pth").unlink()
    with pytest.raises(ValueError, match=r"without a gap, but there are: consolidated\.00\.pth, "):
        read_meta_config(folder)
    folder = write(tmp_path / "end", make_weights(8), 2)
    (folder / "consolidated.01.pth").unlink()
    with pytest.raises(ValueError, match="shards must be 2, as the first one's shapes say"):
        read_meta_config(folder)
    (folder / "consolidated.00.pth").unlink()
    with pytest.raises(
        ValueError, match=r"must be consolidated\.00\.pth, but there are: none; fetch"
    ):
        read_meta_config(folder)
    weights = make_weights(8)
    del weights["layers.1.ffn_norm.weight"]
    with pytest.raises(ValueError, match=r"00\.pth: the shard must hold 'layers\.1\.ffn_norm"):
        load_meta_format(write(tmp_path / "tensor", weights, 1), "sdpa", torch.float32)


def test_what_is_broken_is_named(tmp_path: Path):
    folder = write(tmp_path / "other", make_weights(8), 1, n_layers=3)
    with pytest.raises(ValueError, match=r"must hold 'layers\.2\.attention\.wq\.weight', but"):
        load_meta_format(folder, "sdpa", torch.float32)
    folder = write(tmp_path / "params", make_weights(8), 1)
    (folder / "params.json").write_text('{"dim": 32}')
    with pytest.raises(ValueError, match="but lacks n_heads, n_layers, norm_eps; fetch it again"):
        read_meta_config(folder)
    folder = write(tmp_path / "scaled", make_weights(8), 1, use_scaled_rope=True)
    with pytest.raises(ValueError, match="must be a Llama-2, but 'use_scaled_rope' belongs to"):
        read_meta_config(folder)
    folder = write(tmp_path / "cut", make_weights(8), 1)
    shard = folder / "consolidated.00.pth"
    shard.write_bytes(shard.read_bytes()[:5_000])
    with pytest.raises(ValueError, match=r"00\.pth: the shard must be readable, but: .*fetch"):
        load_meta_format(folder, "sdpa", torch.float32)


class Harmful:
    """Runs code when it is unpickled the unsafe way."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("harm",)


def test_pickled_code_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write(tmp_path, make_weights(8), 1)
    torch.save({"tok_embeddings.weight": Harmful()}, folder / "consolidated.00.pth")
    with pytest.raises(ValueError, match="the shard must be readable, but"):
        load_meta_format(folder, "sdpa", torch.float32)
    assert "harm" not in capsys.readouterr().out
