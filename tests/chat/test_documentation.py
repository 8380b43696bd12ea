"""What docs/chat.md shows runs, and its table is that of the options."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import tiny

from fairseq_audiochat.chat.decoding import Decoding

TEXT = (Path(__file__).parents[2] / "docs/chat.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("## In Python")[2].partition("\n## ")[0]


@pytest.mark.filterwarnings("error")
def test_the_code_runs(tmp_path: Path, laconic_llm: Path, recordings, monkeypatch, capsys):
    """All blocks in their order, in one program, in a folder with the files that they name."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", SECTION, re.S))
    task, model = tiny.make_chat(tmp_path, laconic_llm)
    monkeypatch.chdir(tmp_path)
    Path("checkpoints/chat").mkdir(parents=True)
    tiny.save_checkpoint(Path("checkpoints/chat/checkpoint_best.pt"), task, model)
    for name, recording in zip(("question.wav", "answer.wav"), recordings):
        Path(name).write_bytes(Path(recording).read_bytes())
    names: dict[str, object] = {}
    code = code.replace("/path/to/Llama-2-7b-chat-hf", str(laconic_llm))
    exec(compile(code, "chat.md", "exec"), names)
    assert names["later"].messages == names["dialogue"].messages
    assert len(names["dialogue"].messages) == 5
    assert capsys.readouterr().out.strip()


def test_every_option_is_in_the_table():
    table = set(re.findall(r"^\| `(\w+)` \|", SECTION, re.M))
    assert table == {field.name for field in fields(Decoding)} | {"drop_oldest_turns"}
    for field in fields(Decoding):
        row = re.search(rf"^\| `{field.name}` \|(.*?)\|", SECTION, re.M)
        assert row is not None
        default = row[1].strip()
        assert (float(default) if default else None) == field.default
