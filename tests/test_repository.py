"""What the repository says of itself, against what is there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from fairseq.dataclass import FairseqDataclass

import fairseq_audiochat
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmConfig
from fairseq_audiochat.models.conformer_ctc import ConformerCtcConfig
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OF_FAIRSEQ = {"_name", "seed", "update_freq"}


@pytest.mark.parametrize(
    "config", [AudioCtcConfig, AudioChatConfig, ConformerCtcConfig, AudioPrefixLlmConfig]
)
def test_readme_lists_every_option(config: type[FairseqDataclass]):
    options = {item.name for item in fields(config)} - OF_FAIRSEQ
    flags = {f"`--{name.replace('_', '-')}`" for name in options - {"data"}}
    assert {flag for flag in flags if flag not in README} == set()


def test_readme_names_no_option_that_nothing_knows():
    table = README.partition("## Options")[2].partition("\n## ")[0]
    named = set(re.findall(r"`--([a-z-]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.M))))
    configs = (AudioCtcConfig, AudioChatConfig, ConformerCtcConfig, AudioPrefixLlmConfig)
    known = {item.name.replace("_", "-") for config in configs for item in fields(config)}
    assert named - known == set()
    assert named  # the pattern still finds the table


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))],
)
def test_files_that_a_document_names_exist(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    named = re.findall(r"\b(?:data_prep|scripts|examples)/[\w./-]*\w\.(?:py|sh)\b", text)
    missing = [link for link in links if not ((ROOT / document).parent / link).exists()]
    assert missing + [name for name in named if not (ROOT / name).exists()] == []
    assert links + named or document.startswith("docs/")  # the patterns still find something


def test_changelog_describes_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{fairseq_audiochat.__version__}]" in changelog


def test_nothing_names_a_machine():
    texts = [README, *((ROOT / name).read_text() for name in ("setup.py", "constraints.txt"))]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("*.sh")]
    assert not [match for text in texts for match in re.findall(r"/(?:root|home)/\w+", text)]


def test_dialogues_name_every_option_of_their_script():
    from answer_dialogues import parser

    text = (ROOT / "docs/dialogues.md").read_text(encoding="utf-8")
    options = {option for action in parser()._actions for option in action.option_strings}
    assert {option for option in options - {"-h", "--help"} if option not in text} == set()
