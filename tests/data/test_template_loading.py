"""Which template an LLM gets, by what is in its folder, and what identifies it."""

import json
import shutil
from pathlib import Path

import families
import pytest

from fairseq_audiochat.data.conversation import AssistantTurn, AudioPart, Conversation, UserTurn
from fairseq_audiochat.data.hugging_face_chat import HuggingFaceChat
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.data.tokenizer_files import tokenizer_digest


@pytest.fixture
def mistral(tmp_path: Path) -> Path:
    """A folder with both kinds of tokenizer."""
    return families.make_family_tokenizer(tmp_path / "mistral", "mistral-0.1")


def write_config(folder: Path, **config: object) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_llama2_is_known_by_what_its_template_writes(mistral: Path):
    assert isinstance(load_template(mistral), HuggingFaceChat)
    assert load_template(mistral).name == "hugging_face_chat/1"
    write_config(mistral, chat_template=families.LLAMA2, bos_token="<s>", eos_token="</s>")
    assert isinstance(load_template(mistral), Llama2Chat)
    assert load_template(mistral).name == "llama2_chat/1"


def test_both_give_llama2s_ids_where_both_can(mistral: Path):
    """A copy without ``tokenizer.model`` is read through ``tokenizer.json``."""
    write_config(mistral, chat_template=families.LLAMA2, bos_token="<s>", eos_token="</s>")
    exact = load_template(mistral)
    (mistral / "tokenizer.model").unlink()
    other = load_template(mistral)
    assert isinstance(other, HuggingFaceChat)
    assert other.eos_id == exact.eos_id
    spoken = [UserTurn([AudioPart()]), AssistantTurn("it is red."), UserTurn(["again"])]
    for turns in (spoken[:1], spoken[2:], spoken):
        conversation = Conversation(turns)
        assert other.prompt(conversation) == exact.prompt(conversation)


def test_without_a_template_llamas_prompt_is_for_llamas_only(mistral: Path, llm_path: Path):
    assert isinstance(load_template(llm_path), Llama2Chat)
    write_config(mistral)
    (mistral / "config.json").write_text('{"model_type": "mistral"}')
    with pytest.raises(
        ValueError,
        match=r"tokenizer_config\.json: the tokenizer must have a chat template, but has none; use "
        r"an instruction-tuned model, or write its template to .*chat_template\.jinja",
    ):
        load_template(mistral)
    (mistral / "chat_template.jinja").write_text(families.MISTRAL1)
    write_config(mistral, chat_template="{{ 'another' }}", bos_token="<s>", eos_token="</s>")
    assert isinstance(load_template(mistral), HuggingFaceChat)  # the file wins


def test_of_several_templates_the_default_counts(mistral: Path):
    named = [{"name": "tool_use", "template": "{{ 'no' }}"}]
    named.append({"name": "default", "template": families.MISTRAL1})
    write_config(mistral, chat_template=named, bos_token="<s>", eos_token="</s>")
    assert load_template(mistral).eos_id == 2


def test_the_digest_is_that_of_what_decides_the_ids(mistral: Path, llm_path: Path, tmp_path: Path):
    """Of Llama-2 the tokenizer's alone: its template is ours, and named in the header."""
    digests = {tokenizer_digest(mistral)}
    config = json.loads((mistral / "tokenizer_config.json").read_text())
    write_config(mistral, **{**config, "name_or_path": "elsewhere", "model_max_length": 9})
    assert digests == {tokenizer_digest(mistral)}
    write_config(mistral, **{**config, "chat_template": config["chat_template"] + " "})
    digests.add(tokenizer_digest(mistral))
    write_config(mistral, **{**config, "eos_token": "<s>"})
    digests.add(tokenizer_digest(mistral))
    text = (mistral / "tokenizer.json").read_text()
    (mistral / "tokenizer.json").write_text(text.replace("▁[/", "▁[?"))
    digests.add(tokenizer_digest(mistral))
    assert len(digests) == 4
    shutil.copytree(llm_path, tmp_path / "llm")
    write_config(tmp_path / "llm", chat_template=families.LLAMA2)
    assert tokenizer_digest(tmp_path / "llm") == tokenizer_digest(llm_path)
