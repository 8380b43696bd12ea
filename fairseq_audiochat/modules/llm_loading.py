"""Loading the frozen LLM by path, in Hugging Face's format or in Meta's.

What transformers would guess or fill in is refused. Knows no fairseq.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from fairseq_audiochat.data.tokenizer_files import (
    SENTENCEPIECE_MODEL,
    TOKENIZER_JSON,
    tokenizer_digest,
)
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_attention import ATTENTION_NAME
from fairseq_audiochat.modules.llm_fingerprint import (
    LlmFingerprint,
    fingerprint,
    read_fingerprint,
)
from fairseq_audiochat.modules.llm_quantisation import NF4_ENTRIES, quantisation_config
from fairseq_audiochat.modules.meta_format import (
    PARAMS_FILE,
    is_meta_format,
    load_meta_format,
    read_meta_config,
    read_meta_embedding,
)
from fairseq_audiochat.modules.stored_tensors import stored_tensors


def load_llm(path: str | Path, dtype: torch.dtype, quantisation: str = "none") -> FrozenLlm:
    """Load a causal LM in Hugging Face's or Meta's format, with the tokenizer beside it.

    Args:
        path: Its folder.
        dtype: The dtype to compute in.
        quantisation: One of `QUANTISATIONS`: how the weights are held.

    Raises:
        ImportError: If quantisation needs a package that is missing.
        ValueError: If the folder holds no whole causal LM, or one that is not supported.
    """
    path = check_llm_path(path)
    if is_meta_format(path):
        _refuse_quantising(path, quantisation)
        causal_lm: PreTrainedModel = load_meta_format(path, ATTENTION_NAME, dtype)
        embedding = read_meta_embedding(path)
        llm_fingerprint = fingerprint(causal_lm.config, tokenizer_digest(path), embedding)
    else:
        causal_lm, llm_fingerprint = _load_hugging_face_format(path, dtype, quantisation)
    llm = FrozenLlm(causal_lm, llm_fingerprint)
    _refuse_other_attention(path, llm)
    _refuse_other_logits(path, llm)
    return llm


def _load_hugging_face_format(
    path: Path, dtype: torch.dtype, quantisation: str
) -> tuple[PreTrainedModel, LlmFingerprint]:
    config = read_llm_config(path)
    _refuse_quantised(path, config)
    digest = tokenizer_digest(path)
    # Of the numbers that are stored, so that it does not depend on our dtype.
    llm_fingerprint = read_fingerprint(path, config, digest)
    tensors = stored_tensors(path)
    if llm_fingerprint is not None and tensors is not None:
        # The class itself: AutoModelForCausalLM takes no tensors.
        model_class = AutoModelForCausalLM._model_mapping[type(config)]
        if quantisation == "nf4":
            _refuse_sizes_without_blocks(path, model_class, config)
        load = partial(
            model_class.from_pretrained,
            None,
            config=config,
            state_dict=tensors,
            quantization_config=quantisation_config(quantisation),
        )
        return _checked(path, load, dtype), llm_fingerprint
    _refuse_quantising(path, quantisation)
    causal_lm = _checked(path, partial(AutoModelForCausalLM.from_pretrained, path), "auto")
    embedding = causal_lm.get_input_embeddings().weight
    llm_fingerprint = fingerprint(causal_lm.config, digest, embedding)
    for parameter in causal_lm.parameters():
        # Not the buffers: rotary frequencies stay in fp32, where transformers computes them.
        parameter.data = parameter.data.to(dtype)
    return causal_lm, llm_fingerprint


def _checked(
    path: Path, load: Callable[..., tuple[PreTrainedModel, dict[str, Any]]], dtype: Any
) -> PreTrainedModel:
    """What transformers loads, if it is whole."""
    try:
        causal_lm, report = load(
            dtype=dtype,
            local_files_only=True,
            attn_implementation=ATTENTION_NAME,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path}: the LLM's weights must be readable, but: {error}") from error
    _refuse_missing_weights(path, report)
    return causal_lm


def read_llm_config(path: str | Path) -> PretrainedConfig:
    """The configuration of the causal LM in a folder.

    Raises:
        ValueError: If a file is missing, or the model is no causal LM.
    """
    path = check_llm_path(path)
    if is_meta_format(path):
        return read_meta_config(path)
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: the LLM's config.json must be that of a model which transformers knows, but: "
            f"{error}"
        ) from error
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise ValueError(
            f"{path}: the LLM must be a causal LM in Hugging Face format, but its config.json "
            f"describes a {config.model_type!r} model."
        )
    return config


def check_llm_path(path: str | Path) -> Path:
    """The LLM's folder as a path, if it has a configuration and a tokenizer.

    Raises:
        ValueError: If a file is missing.
    """
    path = Path(path)
    if not (path / "config.json").is_file() and not is_meta_format(path):
        _refuse_folder(path, f"config.json (or {PARAMS_FILE}, as Meta publishes Llama-2)")
    if not any((path / name).is_file() for name in (TOKENIZER_JSON, SENTENCEPIECE_MODEL)):
        _refuse_folder(path, f"{TOKENIZER_JSON} or {SENTENCEPIECE_MODEL}")
    return path


def _refuse_folder(path: Path, missing: str) -> NoReturn:
    raise ValueError(
        f"{path}: the LLM must be a folder with {missing}, but has none; give --llm the folder of "
        "a chat model."
    )


def _refuse_quantised(path: Path, config: PretrainedConfig) -> None:
    quantisation = getattr(config, "quantization_config", None)
    if quantisation is not None:
        raise ValueError(
            f"{path}: the LLM's weights must be stored unquantised, but are "
            f"{quantisation.get('quant_method')!r}; use the original model."
        )


def _refuse_sizes_without_blocks(path: Path, model_class: Any, config: PretrainedConfig) -> None:
    with torch.device("meta"):
        layers = model_class(config).base_model
    for name, module in layers.named_modules():
        if isinstance(module, torch.nn.Linear) and module.weight.numel() % NF4_ENTRIES:
            raise ValueError(
                f"{path}: matrices must have multiples of {NF4_ENTRIES:,} entries to be held in "
                f"nf4, but {name!r} has {module.weight.numel():,}; use int8."
            )


def _refuse_quantising(path: Path, quantisation: str) -> None:
    if quantisation != "none":
        raise ValueError(
            f"{path}: the LLM's weights must be in safetensors files to be quantised, but are not; "
            "use its copy in Hugging Face format, or leave quantisation away."
        )


def _refuse_missing_weights(path: Path, report: dict[str, Any]) -> None:
    """Refuse what transformers would fill with random numbers, only printing that it does."""
    missing = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if missing:
        raise ValueError(
            f"{path}: the LLM's weights must be complete, but {len(missing)} tensors are missing "
            f"or of another shape (first: {missing[0]!r}); fetch the files again."
        )


def _refuse_other_attention(path: Path, llm: FrozenLlm) -> None:
    """Refuse families whose layers do not call our attention: they would see across sequences."""
    if len(llm.read_prefix(llm.embed(torch.arange(4)))) != llm.num_layers:
        raise ValueError(
            f"{path}: the LLM's layers must attend through transformers' attention interface, but "
            f"those of {llm.causal_lm.config.model_type!r} do not; this family is not supported."
        )


@torch.no_grad()
def _refuse_other_logits(path: Path, llm: FrozenLlm) -> None:
    """Refuse families that scale or cap their logits or scores in ways of their own."""
    tokens = torch.arange(4)
    expected = llm.causal_lm(tokens.unsqueeze(0), use_cache=False).logits[0].float()
    logits = llm.logits(llm.packed_hidden(llm.embed(tokens), [4])).float()
    # Half precision differs by rounding; a scale or a cap by much more, or it is not a number.
    if not (logits - expected).abs().max() <= 0.05 * expected.std():
        raise ValueError(
            f"{path}: the LLM's logits must come from its hidden states by one linear layer, but "
            f"those of {llm.causal_lm.config.model_type!r} do not (or overflow in "
            f"{llm.causal_lm.dtype}); this family is not supported."
        )
