"""The host memory that loading an LLM takes, against the size of its weights.

    python benchmarks/llm_memory.py                   # 1.1B random parameters; writes 2.2 GB
    python benchmarks/llm_memory.py --formats meta-1

In Hugging Face's format (one file and several) and in Meta's (one shard and two), stored in
bfloat16 and loaded in bfloat16, in float32 and (in Hugging Face's format) in 8 bits, each in a
process of its own. `weights` is what the loaded parameters take. The peak is that of resident
memory, mapped files and the libraries' pages among it, above that of a process with the same
imports, as glibc is. `packed` is the peak where the matrices are then packed for a search.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import random_llm
import side_by_side
import torch
from sentencepiece import SentencePieceTrainer
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import LlamaConfig, LlamaForCausalLM

from fairseq_audiochat.modules.llm_loading import load_llm
from fairseq_audiochat.modules.llm_quantisation import quantisation_config

SIZES = {
    "1b": random_llm.SIZES["1b"],
    "60m": LlamaConfig(
        vocab_size=8_000,
        hidden_size=768,
        intermediate_size=2_048,
        num_hidden_layers=8,
        num_attention_heads=12,
        num_key_value_heads=4,
        max_position_embeddings=512,
    ),
}
FORMATS = ("one-file", "several-files", "meta-1", "meta-2")
LOADS = (("bfloat16", "none"), ("float32", "none"), ("bfloat16", "int8"))
SPLIT = {"tok_embeddings": 1, "wo": 1, "w2": 1}  # of Meta's shards; all others along 0


def write_tokenizer(folder: Path) -> None:
    """A small one with Llama-2's settings."""
    SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"] * 9),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=264,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )


def write_hugging_face_format(folder: Path, config: LlamaConfig, files: int) -> None:
    """As a release on a hub."""
    torch.manual_seed(0)
    llm = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
    size = 2 * sum(parameter.numel() for parameter in llm.parameters())
    llm.save_pretrained(folder, max_shard_size=2 * size if files == 1 else size // (files - 1))


def write_meta_format(folder: Path, config: LlamaConfig, shards: int) -> None:
    """As Meta's release, for as many GPUs as shards."""
    width, ffn, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    grouped = width * config.num_key_value_heads // config.num_attention_heads
    params = {"dim": width, "n_heads": config.num_attention_heads, "norm_eps": 1e-5}
    params |= {"n_kv_heads": config.num_key_value_heads, "n_layers": config.num_hidden_layers}
    (folder / "params.json").write_text(json.dumps(params))
    shapes = {
        "tok_embeddings": (vocabulary, width),
        "norm": (width,),
        "output": (vocabulary, width),
    }
    for layer in range(config.num_hidden_layers):
        of_layer = {
            "attention.wq": (width, width),
            "attention.wk": (grouped, width),
            "attention.wv": (grouped, width),
            "attention.wo": (width, width),
            "feed_forward.w1": (ffn, width),
            "feed_forward.w2": (width, ffn),
            "feed_forward.w3": (ffn, width),
            "attention_norm": (width,),
            "ffn_norm": (width,),
        }
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in of_layer.items()}
    for shard in range(shards):
        tensors = {}
        for name, shape in shapes.items():
            dim = None if len(shape) == 1 else SPLIT.get(name.split(".")[-1], 0)
            part = [size // shards if axis == dim else size for axis, size in enumerate(shape)]
            tensors[f"{name}.weight"] = torch.randn(part, dtype=torch.bfloat16).mul_(0.02)
        torch.save(tensors, folder / f"consolidated.{shard:02}.pth")


def write(folder: Path, kind: str, size: str) -> Path:
    """A random LLM of one of `FORMATS` and `SIZES`, its tokenizer beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind.startswith("meta"):
        write_meta_format(folder, SIZES[size], int(kind.split("-")[1]))
    else:
        write_hugging_face_format(folder, SIZES[size], 1 if kind == "one-file" else 4)
    write_tokenizer(folder)
    return folder


def in_own_process(*arguments: str) -> list[float]:
    """What this file prints, given arguments, in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in finished.stdout.split()]


def measure(kind: str, size: str) -> None:
    """Print lines of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "llm"
        in_own_process("--write", str(folder), kind, size)
        files = sum(path.stat().st_size for path in folder.glob("*[hs]")) / 2**20
        for dtype, quantisation in LOADS:
            if quantisation != "none" and kind.startswith("meta"):
                continue
            options = ["--memory-of", str(folder), dtype, quantisation]
            weights, peak = in_own_process(*options, "trains")
            _, packed = in_own_process(*options, "searches")
            name = dtype if quantisation == "none" else quantisation
            print(
                f"| {kind} | {files:.0f} | {name} | {weights:.0f} | {peak:.0f} | "
                f"{peak - weights:+.0f} | {packed:.0f} |",
                flush=True,
            )


def memory_of(folder: str, dtype: str, quantisation: str, purpose: str) -> tuple[float, float]:
    """MB of the parameters, and by how much the peak exceeded what was held before.

    The purpose ``searches`` packs the LLM's matrices after loading, ``trains`` does not.
    """
    held, weights = [], []

    def load() -> None:
        llm = load_llm(folder, getattr(torch, dtype), quantisation)
        held.append(llm)
        weights.append(sum(map(stored_bytes, llm.parameters())))
        if purpose == "searches":
            llm.make_generation_fast_()

    quantisation_config(quantisation)  # imports torchao
    peak = side_by_side.peak_megabytes(load)
    return weights[0] / 2**20, peak


def stored_bytes(parameter: torch.Tensor) -> int:
    """Of a parameter; of one that torchao holds, of its parts."""
    if not is_traceable_wrapper_subclass(parameter):
        return parameter.nbytes
    return sum(getattr(parameter, name).nbytes for name in parameter.__tensor_flatten__()[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--size", choices=SIZES, default="1b")
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.write:
        folder, kind, size = args.write
        write(Path(folder), kind, size)
    elif args.memory_of:
        print(*memory_of(*args.memory_of))
    else:
        print(
            "| format | files MB | loaded in | weights MB | peak MB | above | packed, peak MB |\n"
            + "|---" * 7
            + "|"
        )
        for kind in args.formats:
            measure(kind, args.size)


if __name__ == "__main__":
    main()
