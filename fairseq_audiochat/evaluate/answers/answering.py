"""What the LLM answers behind an arm's prompts, by beam search, utterance by utterance.

A record has ``id`` and either ``answer`` and ``prompt`` (what the LLM read; empty where it
listened) and, of a cascade, ``word_errors`` and ``words`` of the prompt; or ``excluded``: why there
is no answer. Does not know which answers are right.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fairseq.models import FairseqEncoderDecoderModel

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.record_file import Record, complete
from fairseq_audiochat.evaluate.arms import Arm, Systems
from fairseq_audiochat.evaluate.prompts import Prompts, batches_of, collate, load

_NO_TEXT = "empty transcript"
_NO_ROOM = "prompt and answer may need {} positions of the LLM's {}"


class Search(NamedTuple):
    """How answers are searched for.

    Args:
        beam: Hypotheses; the paper has 10.
        max_length: Most tokens of an answer, without its end.
    """

    beam: int
    max_length: int


def answer(
    systems: Systems,
    arm: Arm,
    manifest: Manifest,
    search: Search,
    path: Path,
    batch_size: int,
    num_workers: int = 0,
    transcripts: Mapping[str, Record] | None = None,
) -> list[Record]:
    """Answer every utterance.

    Args:
        systems: The LLM.
        arm: What it reads.
        manifest: The utterances.
        search: How to search.
        path: The record file.
        batch_size: Utterances at a time.
        num_workers: Processes that read recordings.
        transcripts: A cascade's records, by id.

    Returns:
        The records: first the excluded ones.
    """
    ids = [str(id) for id in manifest.ids.to_pylist()]
    texts = None if transcripts is None else [transcripts[id]["prompt"] for id in ids]
    prompts = Prompts(manifest, systems.template, arm.prompt_kind, texts)
    model = systems.open_model(arm)
    model.make_generation_fast_()
    excluded = _exclusions(systems, model, prompts, search)
    kept = [row for row in range(len(manifest)) if row not in excluded]
    batches = batches_of(manifest, kept, batch_size)
    units = [[ids[row] for row in batch] for batch in (list(excluded), *batches)]

    def record(row: int, text: str) -> Record:
        counts = {} if transcripts is None else _word_errors(transcripts[ids[row]])
        return {"id": ids[row], "answer": text, "prompt": prompts.text(row), **counts}

    def compute(first: int) -> Iterator[list[Record]]:
        if first == 0:
            yield [{"id": ids[row], "excluded": reason} for row, reason in excluded.items()]
        left = batches[max(0, first - 1) :]
        with_pad = partial(collate, pad=systems.pad)
        for rows, batch in zip(left, load(prompts, left, with_pad, systems.device, num_workers)):
            names = {"utterance_ids": [ids[row] for row in rows]}
            texts = best_answers(systems, model, {**batch, **names}, search)
            yield [record(row, text) for row, text in zip(rows, texts)]

    return complete(path, units, compute, arm.name)


def best_answers(
    systems: Systems,
    model: FairseqEncoderDecoderModel,
    sample: dict[str, Any],
    search: Search,
) -> list[str]:
    """The best hypothesis for each prompt of a batch, as fairseq-generate finds it."""
    task = systems.task
    options = Namespace(beam=search.beam, max_len_b=search.max_length)
    found = task.inference_step(task.build_generator([model], options), [model], sample)
    eos = systems.template.eos_id
    answers = ([int(id) for id in best["tokens"] if id != eos] for best, *_ in found)
    return [systems.template.decode(ids).strip() for ids in answers]


def _exclusions(
    systems: Systems, model: FairseqEncoderDecoderModel, prompts: Prompts, search: Search
) -> dict[int, str]:
    """By row, why an utterance is not answered behind this arm's prompts."""
    room = systems.llm.max_positions
    audio = systems.audio_positions(model, prompts.manifest.n_frames.astype(np.int64))
    reasons = dict.fromkeys(map(int, np.flatnonzero(prompts.manifest.without_text())), _NO_TEXT)
    for row in range(len(prompts)):
        ids = prompts.ids(row)
        positions = len(ids) - ids.count(AUDIO_PLACEHOLDER) + int(audio[row]) + search.max_length
        if positions > room:
            reasons.setdefault(row, _NO_ROOM.format(positions, room))
    return dict(sorted(reasons.items()))


def _word_errors(transcript: Record) -> Record:
    return {name: transcript[name] for name in ("word_errors", "words")}


def by_id(records: Sequence[Record]) -> dict[str, Record]:
    """Records by their ids."""
    return {record["id"]: record for record in records}
