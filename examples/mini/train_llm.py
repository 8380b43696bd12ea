"""Rebuilds the miniature's chat LLM: a small Llama trained on the world's text alone.

Reads no audio. Learns from train prompts and train dialogues only, so that its answers to the
held-out ones are answers, not memory; reports the share of right ones per kind.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from world import FULL_KINDS, Prompt, follow_ups, is_right, prompts

from fairseq_audiochat.data.conversation import AssistantTurn, Conversation, Turn, UserTurn
from fairseq_audiochat.data.llama2_chat import Llama2Chat

VOCABULARY_SIZE = 512  # 3 control symbols, 256 bytes, the rest characters and frequent pieces
MAX_POSITIONS = 512
LONGEST_RESPONSE = 40  # tokens; the world's longest needs about half

Example = tuple[list[int], list[int]]
"""Prompt ids, and response ids with their EOS."""


def main() -> None:
    """Train, save, read back, judge."""
    args = _parser().parse_args()
    torch.manual_seed(args.seed)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    singles = prompts(FULL_KINDS)
    train_tokenizer([prompt for prompt in singles if prompt.split == "train"], args.output_dir)
    chat = Llama2Chat(args.output_dir / "tokenizer.model")
    model = LlamaForCausalLM(model_config(chat))
    train(model, training_batches(singles, chat, args), args)
    model.half().save_pretrained(args.output_dir)

    # What is shipped is what is measured: rounded to float16, read back, run in float32.
    shipped = AutoModelForCausalLM.from_pretrained(args.output_dir, dtype=torch.float32)
    report = {"seed": args.seed, "steps": args.steps, "right": {}}
    for split in ("dev", "test"):
        report["right"][split] = evaluate(shipped, chat, singles, split, args.max_dialogues)
    text = json.dumps(report, indent=2) + "\n"
    (args.output_dir / "report.json").write_text(text)
    print(text, end="")


def train_tokenizer(train_prompts: list[Prompt], folder: Path) -> None:
    """Train ``tokenizer.model`` with Llama-2's SentencePiece settings."""
    # The template's own marks are in the text, so that they take few tokens, as in Llama-2.
    lines = ["[INST] <<SYS>>", "<</SYS>>"] * len(train_prompts)
    lines += [f"{prompt.text} [/INST] {prompt.topic.response}" for prompt in train_prompts]
    with tempfile.TemporaryDirectory() as scratch:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=f"{scratch}/tokenizer",
            vocab_size=VOCABULARY_SIZE,
            model_type="bpe",
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=True,
            remove_extra_whitespaces=False,
            split_digits=True,
            allow_whitespace_only_pieces=True,
            character_coverage=1.0,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            minloglevel=2,
        )
        shutil.copy(f"{scratch}/tokenizer.model", folder / "tokenizer.model")


def model_config(chat: Llama2Chat) -> LlamaConfig:
    """0.9 million parameters: what the world needs, and a file that a repository can hold."""
    return LlamaConfig(
        vocab_size=chat.vocabulary_size,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=chat.bos_id,
        eos_token_id=chat.eos_id,
    )


def encode(chat: Llama2Chat, turns: list[Prompt]) -> Example:
    """The example of a dialogue: all turns but the last response are prompt."""
    history: list[Turn] = []
    for turn in turns[:-1]:
        history += [UserTurn([turn.text]), AssistantTurn(_response_ids(chat, turn))]
    prompt_ids = chat.prompt(Conversation([*history, UserTurn([turns[-1].text])]))
    return prompt_ids, [*_response_ids(chat, turns[-1]), chat.eos_id]


def _response_ids(chat: Llama2Chat, turn: Prompt) -> list[int]:
    return chat.encode(" " + turn.topic.response)


def training_batches(
    singles: list[Prompt], chat: Llama2Chat, args: argparse.Namespace
) -> Iterator[list[Example]]:
    """Endless batches of train examples; kinds are equally frequent, however many prompts."""
    choose = random.Random(args.seed)
    seen = [prompt for prompt in singles if prompt.split == "train"]
    by_kind = {kind: [p for p in seen if p.topic.kind == kind] for kind in FULL_KINDS}
    openings = [(first, seconds) for first in seen if (seconds := _in_split(first, "train"))]

    def draw() -> list[Prompt]:
        kind = choose.choice([*FULL_KINDS, "follow_up", "follow_up"])
        if kind != "follow_up":
            return [choose.choice(by_kind[kind])]
        first, seconds = choose.choice(openings)
        return [first, choose.choice(seconds)]

    while True:
        yield [encode(chat, draw()) for _ in range(args.batch_size)]


def _in_split(first: Prompt, split: str) -> list[Prompt]:
    return [second for second in follow_ups(first) if second.split == split]


def train(
    model: LlamaForCausalLM, batches: Iterator[list[Example]], args: argparse.Namespace
) -> None:
    """Cross-entropy on the response tokens only."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98))
    schedule = OneCycleLR(optimizer, args.lr, total_steps=args.steps, pct_start=0.05)
    progress = tqdm(range(args.steps), desc="training", mininterval=5)
    for _ in progress:
        loss = model(**_collate(next(batches))).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)


def _collate(examples: list[Example]) -> dict[str, torch.Tensor]:
    """Padded on the right, where a causal model cannot see it."""
    ids = [torch.tensor(prompt + response) for prompt, response in examples]
    labels = [torch.tensor([-100] * len(prompt) + response) for prompt, response in examples]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
    }


def evaluate(
    model: LlamaForCausalLM, chat: Llama2Chat, singles: list[Prompt], split: str, dialogues: int
) -> dict[str, float]:
    """The share of right greedy responses to a split's prompts and dialogues, per kind."""
    held_out = [[prompt] for prompt in singles if prompt.split == split]
    pairs = [[first, second] for [first] in held_out for second in _in_split(first, split)]
    random.Random(0).shuffle(pairs)
    counts = defaultdict(list)
    for turns, response in greedy(model, chat, held_out + pairs[:dialogues]):
        topic = turns[-1].topic
        counts[topic.kind].append(is_right(response, topic.answer))
    return {kind: round(sum(right) / len(right), 4) for kind, right in sorted(counts.items())}


@torch.inference_mode()
def greedy(
    model: LlamaForCausalLM, chat: Llama2Chat, dialogues: list[list[Prompt]]
) -> Iterator[tuple[list[Prompt], str]]:
    """Greedy responses; prompts of one length form a batch, so there is no padding."""
    by_length = defaultdict(list)
    for turns in dialogues:
        ids, _ = encode(chat, turns)
        by_length[len(ids)].append((turns, ids))
    for length, group in tqdm(sorted(by_length.items()), desc="answering", mininterval=5):
        batch = torch.tensor([ids for _, ids in group])
        generated = model.generate(
            batch,
            attention_mask=torch.ones_like(batch),
            max_new_tokens=LONGEST_RESPONSE,
            do_sample=False,
            pad_token_id=chat.eos_id,
        )
        for (turns, _), ids in zip(group, generated[:, length:].tolist(), strict=True):
            # A response that never ends is wrong, whatever its words are.
            ended = chat.eos_id in ids
            yield turns, chat.decode(ids[: ids.index(chat.eos_id)]) if ended else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--output-dir", type=Path, default=Path(__file__).parent / "llm", help="where it goes")
    add("--steps", type=int, default=2000, help="optimiser steps")
    add("--batch-size", type=int, default=32, help="dialogues per step")
    add("--lr", type=float, default=3e-3, help="peak learning rate")
    add("--max-dialogues", type=int, default=500, help="two-turn dialogues to judge per split")
    add("--seed", type=int, default=1, help="of weights and batches")
    return parser


if __name__ == "__main__":
    main()
