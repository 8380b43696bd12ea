"""An LLM's products with a search's few rows: packed linear layers against torch's, in one run.

    python benchmarks/products.py

Random weights of LLMs' widths, on a CPU. Layers enough to fill 128 MiB are gone through one after
the other, as an LLM's are, so that no weights wait in a cache. Both layers' outputs are compared:
the largest difference is in standard deviations. Prints medians of CPU milliseconds per product.
"""

import side_by_side
import torch
from torch import Tensor, nn

from fairseq_audiochat.modules.packed_linear import PackedLinear

# Inputs and outputs: attention and feed-forward of the benchmarks' Llama "s" and its head;
# feed-forward of TinyLlama; attention and feed-forward of Llama-2-7B.
SHAPES = [(512, 512), (512, 1_376), (512, 32_000), (2_048, 5_632), (4_096, 4_096), (4_096, 11_008)]
# Rows, and whether layers are packed for one: a dialogue; a search for one answer; ten beams of one
# utterance and of four.
PACKINGS = [(1, True), (1, False), (10, False), (40, False)]
BYTES = 1 << 27


@torch.no_grad()
def measure(
    inputs: int, outputs: int, dtype: torch.dtype, rows: int, one_row: bool, repeats: int
) -> None:
    """Run both in turns and print a line of the table."""
    torch.manual_seed(0)
    count = max(1, BYTES // (inputs * outputs * dtype.itemsize))
    plain = [nn.Linear(inputs, outputs, bias=False, dtype=dtype) for _ in range(count)]
    packed = [PackedLinear(linear, one_row) for linear in plain]
    hidden = torch.randn(rows, inputs).to(dtype)

    def through(layers: list[nn.Module]) -> Tensor:
        for layer in layers:
            found: Tensor = layer(hidden)
        return found.float()

    runs = {"torch": lambda: through([*plain]), "ours": lambda: through([*packed])}
    seconds, found = side_by_side.in_turns(runs, repeats)
    difference = ((found["ours"] - found["torch"]).abs().max() / found["torch"].std()).item()
    theirs, ours = (1000 * seconds[name] / count for name in runs)
    packed_for = "one" if one_row else "any"
    print(
        f"| {inputs:,} to {outputs:,} | {str(dtype).removeprefix('torch.')} | {rows} "
        f"| {packed_for} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.2f} | {difference:.0e} |",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = side_by_side.parser(__doc__ or "")
    parser.set_defaults(repeats=9)
    args = parser.parse_args()
    side_by_side.announce(args)
    print("| from, to | dtype | rows | packed for | torch ms | ours ms | ratio | differ by |")
    print("|---|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            for packing in PACKINGS:
                measure(*shape, dtype, *packing, args.repeats)


if __name__ == "__main__":
    main()
