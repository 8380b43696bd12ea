"""What a turn of a dialogue costs: reading its new tokens, against reading everything again.

    python benchmarks/dialogue_turns.py

Spoken questions (a conformer of four of the paper's layers, recordings of noise) and greedy answers
of a fixed length, the same in both ways; the answers are compared. Prints CPU seconds by turn.
"""

import argparse
import statistics
import time
from typing import NamedTuple

import side_by_side
import torch
from random_llm import make_frozen_llm

from fairseq_audiochat.chat.dialogue_cache import DialogueCache
from fairseq_audiochat.chat.generation import generate
from fairseq_audiochat.chat.prompt import Entry, Prompt
from fairseq_audiochat.chat.token_choice import most_probable
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND, NUM_MEL_BINS
from fairseq_audiochat.models.conformer_ctc import ConformerConfig, build_encoder
from fairseq_audiochat.models.prompt_encoder import PromptEncoder
from fairseq_audiochat.modules.audio_adapter import AudioAdapter
from fairseq_audiochat.modules.frozen_llm import FrozenLlm

BEFORE, BEHIND, EOS = [1, 3, 4, 5], [6, 7, 8, 9], 2  # as many ids as Llama-2's template has


class Turn(NamedTuple):
    """CPU seconds until the first token, and for those behind it; the answer."""

    reading: float
    answering: float
    answer: list[int]


def make_encoder(llm: FrozenLlm) -> PromptEncoder:
    """Random weights, the paper's width, four layers."""
    torch.manual_seed(0)
    audio_encoder = build_encoder(ConformerConfig(encoder_layers=4))
    adapter = AudioAdapter(audio_encoder.width, 1, llm.width, llm.embedding_std())
    return PromptEncoder(audio_encoder, adapter, llm.embed).eval()


@torch.no_grad()
def hold(
    encoder: PromptEncoder, llm: FrozenLlm, args: argparse.Namespace, remembers: bool
) -> list[Turn]:
    """Hold a dialogue; one that does not remember starts with an empty cache every turn."""
    random = torch.Generator().manual_seed(0)
    frames = round(args.seconds * FRAMES_PER_SECOND)
    cache, entries, turns = DialogueCache(encoder, llm), list[Entry](), list[Turn]()
    for _ in range(args.turns):
        clip = torch.randn(frames, NUM_MEL_BINS, generator=random).numpy()
        entries += [*BEFORE, clip, *BEHIND]
        start = time.process_time()
        if not remembers:
            cache = DialogueCache(encoder, llm)
        state = cache.begin(Prompt.of(entries), beams=1)
        # No token ends it: -1 is none (that with the id V - 1 is not chosen first).
        last = torch.tensor(BEHIND[-1:])
        tokens = generate(state, last, [most_probable], args.tokens, eos_id=-1)
        answer = [next(tokens).token]
        read = time.process_time()
        answer += [token for _, token in tokens]
        cache.add([BEHIND[-1], *answer[:-1]])
        turns.append(Turn(read - start, time.process_time() - read, answer))
        entries += [*answer, EOS]
    return turns


def main() -> None:
    """Hold the dialogue both ways in turns, and print the medians."""
    parser = side_by_side.parser(__doc__ or "")
    parser.add_argument("--turns", type=int, default=8, help="turns (default 8)")
    parser.add_argument("--seconds", type=float, default=3.2, help="of a question (default 3.2)")
    parser.add_argument("--tokens", type=int, default=40, help="of an answer (default 40)")
    args = parser.parse_args()
    side_by_side.announce(args)
    llm = make_frozen_llm(args.model)
    llm.make_generation_fast_(one_row=True)  # as AudioChat.from_checkpoint does
    encoder = make_encoder(llm)
    positions = 8 + int(encoder.audio_positions(torch.tensor(round(100 * args.seconds))))
    runs: dict[bool, list[list[Turn]]] = {False: [], True: []}
    for repeat in range(1 + args.repeats):  # the first is to warm up
        for remembers, held in runs.items():
            turns = hold(encoder, llm, args, remembers)
            held += [turns] if repeat else []
    first, second = ([turn.answer for turn in held[0]] for held in runs.values())
    print("| turn | positions | read again s | remembered s | ratio | both answers s | turn |")
    print("|---|---|---|---|---|---|---|")
    for turn in range(args.turns):
        print(f"| {turn + 1} | {turn * (positions + args.tokens + 1) + positions} ", end="")
        print(row(*([held[turn] for held in way] for way in runs.values())))
    equal = sum(ours == theirs for ours, theirs in zip(first, second))
    print(f"\nequal answers: {equal} of {args.turns}")


def row(again: list[Turn], remembered: list[Turn]) -> str:
    """A turn's medians; ``turn`` is the ratio of whole turns."""
    ways = (again, remembered)
    reading, reading_new = (statistics.median(turn.reading for turn in way) for way in ways)
    answering, behind_new = (statistics.median(turn.answering for turn in way) for way in ways)
    return (
        f"| {reading:.3f} | {reading_new:.3f} | {reading / reading_new:.1f} "
        f"| {answering:.2f}, {behind_new:.2f} "
        f"| {(reading + answering) / (reading_new + behind_new):.2f} |"
    )


if __name__ == "__main__":
    main()
