"""Llama-2 as Meta publishes it: ``params.json`` and ``consolidated.NN.pth``, read in place.

The shards of tensor parallelism are joined, and the rotary halves of queries and keys put where
transformers has them, layer by layer: no second copy on disk, and none in memory. Knows no
tokenizer.
"""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

PARAMS_FILE = "params.json"
_MAX_POSITIONS = 4_096  # of Llama-2; no file of the release says so
_ATTENTION, _FFN, _NORM = "self_attn.{}_proj", "mlp.{}_proj", "{}_layernorm"
_LAYER_NAMES = {  # Meta's and transformers' names within a layer, and the dimension that is split
    "attention.wq": (_ATTENTION.format("q"), 0),
    "attention.wk": (_ATTENTION.format("k"), 0),
    "attention.wv": (_ATTENTION.format("v"), 0),
    "attention.wo": (_ATTENTION.format("o"), 1),
    "feed_forward.w1": (_FFN.format("gate"), 0),
    "feed_forward.w2": (_FFN.format("down"), 1),
    "feed_forward.w3": (_FFN.format("up"), 0),
    "attention_norm": (_NORM.format("input"), None),
    "ffn_norm": (_NORM.format("post_attention"), None),
}
_OTHER_NAMES = {
    "tok_embeddings": ("model.embed_tokens", 1),
    "norm": ("model.norm", None),
    "output": ("lm_head", 0),
}


def is_meta_format(folder: Path) -> bool:
    """Whether a folder holds a model as Meta publishes it."""
    return (folder / PARAMS_FILE).is_file() and not (folder / "config.json").is_file()


def read_meta_config(folder: Path) -> LlamaConfig:
    """What transformers needs to know of a model in Meta's format.

    Sizes that ``params.json`` leaves open are read from the weights' shapes.

    Raises:
        ValueError: If a file is missing or broken, or the model is no Llama-2.
    """
    params = _read_params(folder)
    shards = _shard_paths(folder)
    first = _open(shards[0])
    embedding = _tensor(first, "tok_embeddings.weight", shards[0])
    gate = _tensor(first, "layers.0.feed_forward.w1.weight", shards[0])
    heads = params["n_heads"]
    split_into = params["dim"] // _tensor(first, "layers.0.attention.wq.weight", shards[0]).size(0)
    if split_into != len(shards):
        _refuse_shards(folder, f"{split_into}, as the first one's shapes say", shards)
    return LlamaConfig(
        vocab_size=embedding.size(0),
        hidden_size=params["dim"],
        intermediate_size=gate.size(0) * len(shards),
        num_hidden_layers=params["n_layers"],
        num_attention_heads=heads,
        num_key_value_heads=params.get("n_kv_heads") or heads,
        rms_norm_eps=params["norm_eps"],
        rope_parameters={
            "rope_type": "default",
            "rope_theta": float(params.get("rope_theta", 10_000.0)),
        },
        max_position_embeddings=_MAX_POSITIONS,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        dtype=embedding.dtype,
    )


def read_meta_embedding(folder: Path) -> Tensor:
    """The input embeddings ``(V, D)`` of a model in Meta's format, in their stored dtype.

    Raises:
        ValueError: See `read_meta_config`.
    """
    paths = _shard_paths(folder)
    return _join([_open(path) for path in paths], paths, "tok_embeddings.weight", 1)


def load_meta_format(folder: Path, attention: str, dtype: torch.dtype) -> LlamaForCausalLM:
    """Load a model in Meta's format.

    Args:
        folder: The release's folder.
        attention: Name of the attention function.
        dtype: The dtype to compute in; the weights are converted one by one.

    Raises:
        ValueError: See `read_meta_config`; or if a tensor is missing or of another shape.
    """
    config = read_meta_config(folder)
    with torch.device("meta"):
        llm = LlamaForCausalLM._from_config(config, dtype=dtype, attn_implementation=attention)
    for tensors in _converted(folder, config, dtype):
        try:
            llm.load_state_dict(tensors, strict=False, assign=True)
        except RuntimeError as error:
            raise ValueError(
                f"{folder}: the weights must fit {PARAMS_FILE}, but: {error}"
            ) from error
    missing = [name for name, parameter in llm.named_parameters() if parameter.is_meta]
    if missing:
        raise ValueError(
            f"{folder}: the LLM's weights must be complete, but {len(missing)} tensors are missing "
            f"(first: {missing[0]!r}); fetch the files again."
        )
    llm.model.rotary_emb = type(llm.model.rotary_emb)(config)  # not stored, so not on "meta"
    return llm


def _converted(
    folder: Path, config: LlamaConfig, dtype: torch.dtype
) -> Iterator[dict[str, Tensor]]:
    """The tensors under transformers' names, a layer at a time.

    The shards are mapped anew for every layer: what a closed mapping has read leaves the memory.
    """
    paths = _shard_paths(folder)
    groups = [(f"layers.{i}.", f"model.layers.{i}.") for i in range(config.num_hidden_layers)]
    for source, target in groups:
        shards = [_open(path) for path in paths]
        yield {
            f"{target}{name}.weight": _rotary(
                name, _join(shards, paths, f"{source}{meta}.weight", split), config
            ).to(dtype)
            for meta, (name, split) in _LAYER_NAMES.items()
        }
    shards = [_open(path) for path in paths]
    yield {
        f"{name}.weight": _join(shards, paths, f"{meta}.weight", split).to(dtype)
        for meta, (name, split) in _OTHER_NAMES.items()
    }


def _join(
    shards: list[dict[str, Tensor]], paths: list[Path], name: str, split: int | None
) -> Tensor:
    parts = [_tensor(shard, name, path) for shard, path in zip(shards, paths)]
    return parts[0].clone() if split is None else torch.cat(parts, dim=split)


def _rotary(name: str, weight: Tensor, config: LlamaConfig) -> Tensor:
    """Meta rotates neighbours, transformers the two halves of a head."""
    heads = {
        _ATTENTION.format("q"): config.num_attention_heads,
        _ATTENTION.format("k"): config.num_key_value_heads,
    }.get(name)
    if heads is None:
        return weight
    # (H * d, D) as (H, d / 2, 2, D) -> (H, 2, d / 2, D)
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _read_params(folder: Path) -> dict[str, Any]:
    path = folder / PARAMS_FILE
    try:
        params: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"dim", "n_heads", "n_layers", "norm_eps"} - set(params)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: the file must be Meta's JSON of the model's sizes, but: {error}"
        ) from error
    if missing:
        raise ValueError(
            f"{path}: the file must give dim, n_heads, n_layers and norm_eps, but lacks "
            f"{', '.join(sorted(missing))}; fetch it again."
        )
    if params.get("use_scaled_rope"):
        raise ValueError(
            f"{path}: a model in Meta's format must be a Llama-2, but 'use_scaled_rope' belongs to "
            "Llama-3.1 and later; use its copy in Hugging Face format."
        )
    return params


def _shard_paths(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("consolidated.*.pth"))
    if [path.name for path in paths] != [f"consolidated.{i:02}.pth" for i in range(len(paths))]:
        _refuse_shards(folder, "consolidated.00.pth, consolidated.01.pth, ... without a gap", paths)
    if not paths:
        _refuse_shards(folder, "consolidated.00.pth", paths)
    return paths


def _refuse_shards(folder: Path, wanted: str, paths: list[Path]) -> NoReturn:
    found = ", ".join(path.name for path in paths) or "none"
    raise ValueError(
        f"{folder}: the shards must be {wanted}, but there are: {found}; fetch the missing ones."
    )


def _open(path: Path) -> dict[str, Tensor]:
    try:
        shard: dict[str, Tensor] = torch.load(
            path, map_location="cpu", mmap=True, weights_only=True
        )
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path}: the shard must be readable, but: {error}; fetch it again."
        ) from error
    return shard


def _tensor(shard: dict[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in shard:
        raise ValueError(
            f"{path}: the shard must hold {name!r}, but does not; fetch it again, and check that "
            "params.json belongs to it."
        )
    return shard[name]
