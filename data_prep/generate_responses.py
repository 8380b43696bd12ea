"""Let the LLM answer every transcript of a manifest (the paper's section 3.2).

    python data_prep/generate_responses.py data/train.tsv --llm LLM
    python data_prep/generate_responses.py data/train.tsv --llm LLM --shard 3/64
    python data_prep/generate_responses.py data/train.tsv --llm LLM \
        --endpoint http://node1:8000/v1 --endpoint http://node2:8000/v1 --model NAME

The LLM reads the transcript in the paper's prompt and answers greedily, with at most four
times the transcript's tokens: in this process, or on servers that speak OpenAI's protocol.
Records are written in the manifest's order; a run that was killed goes on where it was when the
same command is given again. Reads no audio.
"""

import argparse
import os
from collections import Counter, defaultdict
from pathlib import Path

import command
from answering.backend import Backend, at_endpoints, in_process
from answering.options import add_llm_options
from answering.order import in_order
from answering.prompts import Prompter
from answering.response_file import ResponseFile
from answering.shard import Shard, whole_path
from tqdm import tqdm

import fairseq_audiochat
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.response_record import ResponseHeader, read_records

_IDS_NAMED = 20  # of excluded utterances, per reason; the file holds all


def main() -> None:
    """Run the command line."""
    command.run(parser(), generate)


def generate(args: argparse.Namespace) -> Path:
    """Write the responses; gives their path."""
    _check_options(args)
    output = args.shard.path(args.manifest) if args.shard else whole_path(args.manifest)
    if output.exists():
        raise ValueError(
            f"{output}: the responses must not exist already, but do; remove the file to generate "
            "them again."
        )
    manifest = Manifest(args.manifest)
    rows = args.shard.rows(len(manifest)) if args.shard else range(len(manifest))
    backend = _backend(args)
    try:
        _write(output, manifest, rows, backend, args)
    finally:
        backend.engine.close()
    report(output)
    return output


def _write(
    output: Path, manifest: Manifest, rows: range, backend: Backend, args: argparse.Namespace
) -> None:
    template = backend.template
    prompter = Prompter(template, args.max_length_factor, args.count, backend.max_positions)
    with ResponseFile(output, _header(backend, args)) as file:
        done = file.resume(manifest, rows, prompter.prompt, backend.engine.unit)
        items = (prompter.prepare(manifest[row]) for row in rows[done:])
        records = in_order(items, backend.engine, template.decode)
        total, name = len(rows), output.name
        for record in tqdm(records, name, total, initial=done, unit="response", disable=None):
            file.write([record])
        file.finish()


def _header(backend: Backend, args: argparse.Namespace) -> ResponseHeader:
    return ResponseHeader(
        backend.fingerprint._asdict(),
        {**backend.decoding, "max_length_factor": args.max_length_factor, "count": args.count},
        template=backend.template.name,
        program=fairseq_audiochat.__version__,
        shard=str(args.shard or ""),
    )


def _backend(args: argparse.Namespace) -> Backend:
    if not args.endpoint:
        return in_process(
            args.llm, args.dtype, args.device, args.batch_size, args.beam, args.quantisation
        )
    return at_endpoints(
        args.llm,
        args.endpoint,
        args.model,
        in_flight=args.in_flight,
        timeout=args.timeout,
        retries=args.retries,
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )


def _check_options(args: argparse.Namespace) -> None:
    if bool(args.endpoint) != bool(args.model):
        raise ValueError(
            "--endpoint and --model must be given together, but only one is; --model is the name "
            "under which the endpoints serve the LLM."
        )
    if args.endpoint and args.beam:
        raise ValueError(
            f"--beam must not be given with --endpoint, but is {args.beam}; endpoints answer "
            "greedily."
        )


def report(output: Path) -> None:
    """Say what was generated, what was excluded by id, and in the last line the sum."""
    ended: Counter[str] = Counter()
    excluded: dict[str, list[str]] = defaultdict(list)
    tokens = 0
    for record in read_records(output):
        ended[record.ended] += 1
        tokens += len(record.response)
        if record.excluded:
            excluded[record.excluded].append(record.id)
    for reason, ids in excluded.items():
        more = ", ..." if len(ids) > _IDS_NAMED else ""
        print(f"{len(ids):9,} excluded: {reason}: {', '.join(ids[:_IDS_NAMED])}{more}")
    total = sum(ended.values())
    print(
        f"{output}: {total} responses, {tokens / max(1, total):.1f} tokens on average, "
        f"{ended['length']} cut by length, {sum(map(len, excluded.values()))} excluded"
    )


def parser() -> argparse.ArgumentParser:
    """The options; the defaults are the paper's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("manifest", type=Path, help="SPLIT.tsv; writes SPLIT.responses.jsonl")
    add("--llm", type=Path, required=True, help="folder of the chat LLM")
    add(
        "--max-length-factor",
        type=command.positive_number,
        default=4.0,
        help="a response has at most this many times the tokens that --count names (section 3.2; "
        "default 4)",
    )
    add(
        "--count",
        choices=["transcript", "prompt"],
        default="transcript",
        help="what the factor multiplies: the transcript's tokens, or those of the whole prompt "
        "with its template; the paper does not say which (default transcript)",
    )
    add("--shard", type=Shard.parse, metavar="I/N", help="the I-th of N parts, from 1; then merge")
    here = parser.add_argument_group("in this process")
    add_llm_options(here)
    here.add_argument(
        "--beam", type=command.positive_integer, metavar="K", help="beam search, not greedily"
    )
    _add_endpoints(parser.add_argument_group("on servers (OpenAI's completions protocol)"))
    return parser


def _add_endpoints(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--endpoint", action="append", metavar="URL", help="may be given several times")
    add("--model", metavar="NAME", help="the LLM's name at the endpoints")
    add(
        "--in-flight",
        type=command.positive_integer,
        default=64,
        help="requests under way, for each endpoint (default 64)",
    )
    add(
        "--timeout",
        type=command.positive_number,
        default=600.0,
        metavar="SECONDS",
        help="until an answer must be there (default 600)",
    )
    add(
        "--retries",
        type=command.positive_integer,
        default=8,
        help="times that a request is repeated, at rising distance (default 8: 3 minutes)",
    )


if __name__ == "__main__":
    main()
