"""Llama-2's prompts as Meta's published code makes them, with sentencepiece alone."""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece


def metas_ids(path: Path, system: str, texts: Sequence[str]) -> list[int]:
    """What chat_completion of Meta's llama/generation.py encodes, whole strings at a time.

    ``texts`` are user, answer, user, ... The system block is glued to the first user text
    before that is stripped.
    """
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(path))
    contents = [f"<<SYS>>\n{system}\n<</SYS>>\n\n{texts[0]}", *texts[1:]]
    ids: list[int] = []
    for prompt, answer in zip(contents[::2], contents[1::2]):
        whole = f"[INST] {prompt.strip()} [/INST] {answer.strip()} "
        ids += [tokenizer.bos_id(), *tokenizer.encode(whole), tokenizer.eos_id()]
    return [*ids, tokenizer.bos_id(), *tokenizer.encode(f"[INST] {contents[-1].strip()} [/INST]")]
