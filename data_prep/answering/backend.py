"""An engine with what the prompts and the provenance need to know of its LLM.

Knows no command line and no file of responses.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from answering.endpoint_engine import EndpointEngine
from answering.engine import Engine, WindowEngine
from answering.search import BeamSearch, greedy
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.data.tokenizer_files import tokenizer_digest
from fairseq_audiochat.modules.llm_context import max_positions
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint, read_fingerprint
from fairseq_audiochat.modules.llm_loading import load_llm, read_llm_config

BATCHES_PER_WINDOW = 16  # a run that was killed loses at most a window


class Backend(NamedTuple):
    """Who answers.

    Args:
        engine: The engine.
        template: The LLM's chat template.
        fingerprint: The LLM's.
        max_positions: Of the LLM.
        decoding: How it searches, and where.
    """

    engine: Engine
    template: ChatTemplate
    fingerprint: LlmFingerprint
    max_positions: int
    decoding: dict[str, Any]


def in_process(
    path: Path,
    dtype: str,
    device: str,
    batch_size: int,
    beams: int | None = None,
    quantisation: str = "none",
) -> Backend:
    """An LLM that is loaded here; greedy unless a number of beams is given."""
    llm = load_llm(path, getattr(torch, dtype), quantisation).to(device)
    llm.make_generation_fast_()
    template = load_template(path)
    if beams is None:
        search = greedy(llm, template.eos_id, batch_size)
    else:
        search = BeamSearch(llm, template, beams, batch_size)
    engine = WindowEngine(search, batch_size * BATCHES_PER_WINDOW)
    decoding = {"engine": "in-process", "dtype": dtype, "search": "greedy"}
    if beams is not None:
        decoding |= {"search": "beam", "beam": beams}
    if quantisation != "none":
        decoding |= {"quantisation": quantisation}
    return Backend(engine, template, llm.fingerprint, llm.max_positions, decoding)


def at_endpoints(path: Path, urls: Sequence[str], model: str, **settings: Any) -> Backend:
    """Servers; of the LLM's folder only configuration, tokenizer and embeddings are read.

    Args:
        path: The LLM's folder.
        urls: The endpoints.
        model: The LLM's name there.
        settings: The others of `EndpointEngine`.
    """
    config = read_llm_config(path)
    template = load_template(path)
    fingerprint = read_fingerprint(path, config, tokenizer_digest(path))
    if fingerprint is None:
        fingerprint = load_llm(path, torch.bfloat16).fingerprint
    engine = EndpointEngine(urls, model, template, **settings)
    decoding = {"engine": f"endpoint, {engine.protocol}", "model": model, "search": "greedy"}
    return Backend(engine, template, fingerprint, max_positions(config), decoding)
