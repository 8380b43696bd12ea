"""The commands of docs/responses.md, as they stand there, on tiny data."""

import os
import re
import subprocess
from pathlib import Path

import generate_responses
import merge_responses
import pytest
import report_responses
from command_line import REPOSITORY, run_script
from completions_server import MODEL, CompletionsServer

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, read_records
from fairseq_audiochat.data.responses import Responses

MAINS = {
    "data_prep/generate_responses.py": generate_responses.main,
    "data_prep/merge_responses.py": merge_responses.main,
    "data_prep/report_responses.py": report_responses.main,
}
SECTION = (REPOSITORY / "docs/responses.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL))
TEXTS = ["what is it", "tell me more", "name two colours", "say it again please", " "]


def arguments(name: str, with_flag: str, **environment: str) -> list[str]:
    """A command's arguments, as bash expands them."""
    commands = re.sub(r"\\\n\s*", "", BLOCKS).splitlines()
    command, *_ = [
        line for line in commands if f" data_prep/{name}.py " in line and with_flag in line
    ]
    script = f'python() {{ printf "%s\\n" "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-euc", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    rows = [Utterance(f"u{index}", "none.wav", 1, text) for index, text in enumerate(TEXTS)]
    write_manifest(tmp_path / "data/train.tsv", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setattr("sys.argv", command)
    MAINS[command[0]]()


def read(folder: Path) -> list[Response]:
    return list(read_records(folder / "data/train.responses.jsonl"))


def test_shards_are_merged_and_reported(folder: Path, llm_path: Path, monkeypatch, capsys):
    llm = str(llm_path)
    for task in range(3):
        slurm = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "3", "LLM": llm}
        run(monkeypatch, arguments("generate_responses", "--shard", **slurm))
    run(monkeypatch, arguments("merge_responses", "--exclude-refusals"))
    assert [record.id for record in read(folder)] == ["u0", "u1", "u2", "u3", "u4"]
    manifest = Manifest(folder / "data/train.tsv")
    assert Responses(folder / "data/train.responses.jsonl", manifest).header.filters == {
        "refused": True,
        "max_repeats": 4,
    }
    run(monkeypatch, arguments("report_responses", "--output"))
    assert (folder / "report" / "report.md").is_file()
    assert (folder / "report" / "lengths.png").is_file()
    assert "| - empty transcript | 1 |" in capsys.readouterr().out


def test_endpoints(folder: Path, llm_path: Path, monkeypatch):
    with CompletionsServer(llm_path) as one, CompletionsServer(llm_path) as other:
        command = arguments("generate_responses", "--endpoint", LLM=str(llm_path))
        names = {"http://node1:8000": one.url, "http://node2:8000": other.url}
        for name, url in names.items():
            command = [word.replace(name, url) for word in command]
        command[command.index("llama")] = MODEL
        run(monkeypatch, command)
        assert min(len(one.bodies), len(other.bodies)) > 1
    assert len(read(folder)) == 5


def test_one_process_from_another_folder(folder: Path, llm_path: Path):
    """Without PYTHONPATH, as a program of its own."""
    command = arguments("generate_responses", "data/train.tsv --llm", LLM=str(llm_path))
    output = run_script("generate_responses.py", *command[1:])
    assert output.splitlines()[-1].startswith("data/train.responses.jsonl: 5 responses, ")
    assert len(read(folder)) == 5


@pytest.mark.parametrize("script", [generate_responses, merge_responses])
def test_the_table_lists_every_option(script):
    options = script.parser().format_help()
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", options.partition("options:")[2]))
    table = SECTION.partition(f"| `{script.__name__}.py` |")[2].partition("\n\n")[0]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == flags - {"--help"}
