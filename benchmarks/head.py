"""An LLM's head for a search's few rows: ours, in parts, against torch's linear layer, in one run.

    python benchmarks/head.py

Random weights of LLMs' widths and vocabularies, float32, on a CPU. Both layers' outputs are
compared. Prints medians of CPU milliseconds.
"""

import side_by_side
import torch
from torch import nn

from fairseq_audiochat.modules.wide_linear import wide_linear

# Width and vocabulary: the benchmarks' Llama "s", Qwen2.5-0.5B, Llama-3.2-1B's width, Llama-2-7B.
SHAPES = [(512, 32_000), (896, 151_936), (2_048, 32_000), (4_096, 32_000)]
ROWS = (1, 10, 40)  # greedy; ten beams of one and of four utterances


@torch.no_grad()
def measure(width: int, vocabulary: int, rows: int, repeats: int) -> None:
    """Run both in turns and print a line of the table."""
    torch.manual_seed(0)
    head, hidden = nn.Linear(width, vocabulary, bias=False), torch.randn(rows, width)
    runs = {"torch": lambda: head(hidden), "ours": lambda: wide_linear(head, hidden)}
    seconds, outputs = side_by_side.in_turns(runs, repeats)
    difference = (outputs["ours"] - outputs["torch"]).abs().max().item()
    print(
        f"| {width} to {vocabulary:,} | {rows} | {1000 * seconds['torch']:.1f} "
        f"| {1000 * seconds['ours']:.1f} | {seconds['torch'] / seconds['ours']:.2f} "
        f"| {difference:.0e} |",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = side_by_side.parser(__doc__ or "")
    parser.set_defaults(repeats=15)
    args = parser.parse_args()
    side_by_side.announce(args)
    print("| from, to | rows | torch ms | ours ms | ratio | differ by |")
    print("|---|---|---|---|---|---|")
    for width, vocabulary in SHAPES:
        for rows in ROWS:
            measure(width, vocabulary, rows, args.repeats)


if __name__ == "__main__":
    main()
