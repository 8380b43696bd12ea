"""The host memory that loading an LLM takes, against the size of its files.

    python benchmarks/loading.py    # 1.1B random parameters in bfloat16; writes 4.4 GB for a while

In Hugging Face's format (two shards of safetensors) and in Meta's (two shards), each loaded in a
process of its own, in the dtype that it is stored in. The peak counts what the libraries take
too, and the pages of mapped files.
"""

import argparse
import json
import tempfile
from pathlib import Path

import side_by_side
import torch
from sentencepiece import SentencePieceTrainer
from transformers import LlamaConfig, LlamaForCausalLM

from fairseq_audiochat.modules.llm_loading import load_llm

CONFIG = LlamaConfig(  # the sizes of TinyLlama-1.1B
    vocab_size=32_000,
    hidden_size=2_048,
    intermediate_size=5_632,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
    max_position_embeddings=2_048,
)
PARALLEL = {"tok_embeddings": 1, "wo": 1, "w2": 1, "attention_norm": None, "ffn_norm": None}
LAYER = {
    "attention.wq": (2_048, 2_048),
    "attention.wk": (256, 2_048),
    "attention.wv": (256, 2_048),
    "attention.wo": (2_048, 2_048),
    "feed_forward.w1": (5_632, 2_048),
    "feed_forward.w2": (2_048, 5_632),
    "feed_forward.w3": (5_632, 2_048),
    "attention_norm": (2_048,),
    "ffn_norm": (2_048,),
}


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


def write_hugging_face_format(folder: Path) -> None:
    """As a release on a hub."""
    torch.manual_seed(0)
    llm = LlamaForCausalLM._from_config(CONFIG, dtype=torch.bfloat16)
    llm.save_pretrained(folder, max_shard_size="1500MB")


def write_meta_format(folder: Path) -> None:
    """As Meta's release for two GPUs."""
    params = {"dim": 2_048, "n_heads": 32, "n_kv_heads": 4, "n_layers": 22, "norm_eps": 1e-5}
    (folder / "params.json").write_text(json.dumps(params))
    shapes = {"tok_embeddings": (32_000, 2_048), "norm": (2_048,), "output": (32_000, 2_048)}
    for layer in range(22):
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in LAYER.items()}
    for shard in range(2):
        tensors = {}
        for name, shape in shapes.items():
            dim = None if len(shape) == 1 else PARALLEL.get(name.split(".")[-1], 0)
            part = [size // 2 if axis == dim else size for axis, size in enumerate(shape)]
            tensors[f"{name}.weight"] = 0.02 * torch.randn(part).bfloat16()
        torch.save(tensors, folder / f"consolidated.{shard:02}.pth")


FORMATS = {"Hugging Face": write_hugging_face_format, "Meta": write_meta_format}


def measure(name: str) -> None:
    """Print a line of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        FORMATS[name](folder)
        write_tokenizer(folder)
        weights = [*folder.glob("*.safetensors"), *folder.glob("*.pth")]
        files = sum(path.stat().st_size for path in weights) / 2**20
        peak = side_by_side.peak_in_own_process(folder)
        print(f"| {name} | {files:.0f} | {peak:.0f} | {peak - files:+.0f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memory-of", nargs=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory_of:
        folder = args.memory_of[0]
        print(side_by_side.peak_megabytes(lambda: load_llm(folder, torch.bfloat16)))
        return
    print("| format | files MB | peak MB | above the files |\n|---|---|---|---|")
    for name in FORMATS:
        measure(name)


if __name__ == "__main__":
    main()
