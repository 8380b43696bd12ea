"""The perplexity of a test set's responses behind an arm's prompts, utterance by utterance.

A record has ``id`` and either ``nats`` and ``tokens`` of its response, or ``excluded``: why it has
none. The same response ids in every arm.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from fairseq.models import FairseqEncoderDecoderModel

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.record_file import Record, complete
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.evaluate.arms import Arm, Systems
from fairseq_audiochat.evaluate.prompts import Prompts, batches_of, collate, load
from fairseq_audiochat.modules.losses import response_nats

_NO_ROOM = "needs {} positions of the LLM's {}"


def score(
    systems: Systems,
    arm: Arm,
    manifest: Manifest,
    responses: Responses,
    path: Path,
    batch_size: int,
    num_workers: int = 0,
    texts: Sequence[str] | None = None,
    read: Callable[[Utterance], Features] = read_features,
    duration_factor: float = 1.0,
) -> list[Record]:
    """Score every response that is not excluded.

    Args:
        systems: The LLM.
        arm: What it reads.
        manifest: The utterances.
        responses: What it answered to their transcripts.
        path: The record file.
        batch_size: Utterances at a time; the result does not depend on it.
        num_workers: Processes that read recordings.
        texts: A cascade's transcripts, in the manifest's order.
        read: From an utterance to its features.
        duration_factor: How many times as long as the manifest says recordings are read.

    Returns:
        The records: first the excluded ones.
    """

    def target(row: int) -> list[int]:
        return responses.to_transcript(row, systems.template).target(systems.template.eos_id)

    prompts = Prompts(manifest, systems.template, arm.prompt_kind, texts, target, read)
    model = systems.open_model(arm)
    excluded = _exclusions(systems, model, prompts, responses, duration_factor)
    kept = [row for row in range(len(manifest)) if row not in excluded]
    batches = batches_of(manifest, kept, batch_size)
    units = [[manifest[row].id for row in batch] for batch in (list(excluded), *batches)]

    def compute(first: int) -> Iterator[list[Record]]:
        if first == 0:
            yield [{"id": manifest[row].id, "excluded": reason} for row, reason in excluded.items()]
        left = batches[max(0, first - 1) :]
        with_pad = partial(collate, pad=systems.pad)
        for rows, batch in zip(left, load(prompts, left, with_pad, systems.device, num_workers)):
            nats = batch_nats(model, batch["net_input"], batch["target"], systems.pad)
            yield [
                {"id": manifest[row].id, "nats": sum(tokens), "tokens": len(tokens)}
                for row, tokens in zip(rows, nats)
            ]

    return complete(path, units, compute, arm.name)


@torch.no_grad()
def batch_nats(
    model: FairseqEncoderDecoderModel,
    net_input: dict[str, torch.Tensor],
    target: torch.Tensor,
    pad: int,
) -> list[list[float]]:
    """Nats of every response token of a batch, row by row.

    Args:
        model: An arm's.
        net_input: Prompts and the decoder's inputs.
        target: Int64 ``(B, L)``, padded.
        pad: The padding id.
    """
    inputs = dict(net_input)
    previous = inputs.pop("prev_output_tokens")
    hidden = model.decoder.extract_features(previous, model.encoder(**inputs))
    is_token = target != pad
    nats = response_nats(hidden, model.decoder.llm.head, target[is_token])
    lengths = is_token.sum(1).tolist()
    return [row.tolist() for row in nats.double().cpu().split(lengths)]


def _exclusions(
    systems: Systems,
    model: FairseqEncoderDecoderModel,
    prompts: Prompts,
    responses: Responses,
    duration_factor: float,
) -> dict[int, str]:
    """By row, why an utterance is not scored behind this arm's prompts."""
    reasons = {
        int(row): f"response excluded ({reason})"
        for reason, mask in responses.exclusions().items()
        for row in np.flatnonzero(mask)
    }
    manifest, room = prompts.manifest, systems.llm.max_positions
    n_frames = np.ceil(manifest.n_frames * duration_factor).astype(np.int64)
    audio = systems.audio_positions(model, n_frames)
    lengths = responses.lengths()
    for row in range(len(manifest)):
        ids = prompts.ids(row)
        positions = len(ids) - ids.count(AUDIO_PLACEHOLDER) + int(audio[row] + lengths[row])
        if positions > room:
            reasons.setdefault(row, _NO_ROOM.format(positions, room))
    return dict(sorted(reasons.items()))
