"""Dialogues that the LLM answers, against transformers turn by turn."""

import json
import shutil

import pytest
import torch
from answer_dialogues import answer, parser
from transformers import AutoModelForCausalLM

from fairseq_audiochat.data.conversation import AssistantTurn, Conversation, UserTurn
from fairseq_audiochat.data.dialogues import Dialogues
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Manifest

AUDIO = [{"type": "audio", "audio": "dev-1"}]
MIXED = [{"type": "text", "text": "say it again"}, {"type": "audio", "audio": "dev-3"}]


def user(content):
    return {"role": "user", "content": content}


OPEN = {"role": "assistant"}
DIALOGUES = [
    {"id": "spoken", "messages": [user(AUDIO), OPEN, user(MIXED), OPEN]},
    {"id": "written", "messages": [user("tell me more"), OPEN, user("what is it")]},
    {
        "id": "given",
        "messages": [
            {"role": "system", "content": "It is red."},
            user("what is it"),
            {"role": "assistant", "content": "It is red."},
            user(AUDIO),
            {"role": "assistant", "train": False},
            user("tell me"),
        ],
    },
]


@pytest.fixture
def folder(tmp_path, data_folder):
    copy = shutil.copytree(data_folder, tmp_path / "data")
    (copy / "dev.responses.jsonl").unlink()
    return copy


def write(folder, dialogues):
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in dialogues))
    return path


def run(folder, llm_path, dialogues=DIALOGUES, *options):
    path = write(folder, dialogues)
    words = [folder / "dev.tsv", path, "--llm", llm_path, *options]
    return answer(parser().parse_args([str(word) for word in words]))


def test_every_turn_is_the_llms_own(folder, llm_path, capsys):
    output = run(folder, llm_path)
    template, manifest = Llama2Chat(llm_path / "tokenizer.model"), Manifest(folder / "dev.tsv")
    llm = AutoModelForCausalLM.from_pretrained(llm_path)
    dialogues = Dialogues(output, manifest)
    assert [dialogues[row].id for row in range(len(dialogues))] == [
        *("spoken/1", "spoken/2", "written/1", "written/2", "given/3")
    ]
    first, second = manifest[1].text, manifest[3].text
    turns: list = []
    for index, question in enumerate(([first], ["say it again", "\n", second])):
        turns.append(UserTurn(question))
        prompt = template.prompt(Conversation(turns))
        limit = int(4 * len(template.encode("".join(question))))
        found = llm.generate(torch.tensor([prompt]), max_new_tokens=limit, do_sample=False)
        expected = found[0, len(prompt) :].tolist()
        record = dialogues.record(index)
        ended = "eos" if expected[-1] == template.eos_id else "length"
        assert record.prompt == prompt
        assert record.ended == ended
        assert record.response == [token for token in expected if token != template.eos_id]
        turns.append(AssistantTurn(record.response))
    given = dialogues.record(4)
    assert [message["role"] for message in given.messages][:2] == ["system", "user"]
    assert given.messages[2]["content"] == "It is red."
    assert given.messages[4]["ids"]  # answered, but not trained
    assert "5 answers in 3 dialogues" in capsys.readouterr().out


def test_a_run_that_was_cut_ends_as_one_that_was_not(folder, llm_path, tmp_path):
    many = [{**dialogue, "id": f"{dialogue['id']}{n}"} for n in range(8) for dialogue in DIALOGUES]
    options = ("--batch-size", 1)  # windows of 16 dialogues
    whole = run(folder, llm_path, many, *options)
    content = whole.read_bytes()
    whole.unlink()
    partial = whole.with_name(whole.name + ".partial")
    for cut in (10, len(content) // 3, len(content) - 5):
        partial.write_bytes(content[:cut])
        assert run(folder, llm_path, many, *options).read_bytes() == content
        whole.unlink()


def test_going_on_with_other_settings_is_refused(folder, llm_path):
    output = run(folder, llm_path)
    output.rename(output.with_name(output.name + ".partial"))
    with pytest.raises(ValueError, match="gone on with as it was begun, but the file begins with"):
        run(folder, llm_path, DIALOGUES, "--max-length-factor", 2)


def test_answers_that_are_there_are_kept(folder, llm_path):
    run(folder, llm_path)
    with pytest.raises(ValueError, match="the dialogues must not exist already, but do"):
        run(folder, llm_path)


def test_a_split_with_responses_is_refused_before_the_llm_answers(folder, llm_path):
    (folder / "dev.responses.jsonl").touch()
    with pytest.raises(ValueError, match=r"must have responses or dialogues, but has these resp"):
        run(folder, llm_path)


def test_after_a_turn_without_an_answer_there_is_none(folder, llm_path, capsys):
    long = " ".join(["tell me more please"] * 60)
    dialogues = [{"id": "long", "messages": [user(long), OPEN, user("what is it")]}]
    dialogues.append({"id": "empty", "messages": [user(" ")]})
    output = run(folder, llm_path, dialogues)
    found = Dialogues(output, Manifest(folder / "dev.tsv"))
    reasons = [found.record(row).excluded for row in range(3)]
    assert reasons == [
        "prompt beyond the LLM's context",
        "an earlier turn has no answer",
        "empty transcript",
    ]
    assert "1 excluded: an earlier turn has no answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nonsense", "a line must be a dialogue with 'id' and 'messages'"),
        ('{"id": "d"}', "'messages' is missing"),
        ('{"id": "", "messages": [1]}', "but: "),
        ('{"id": "d", "messages": []}', "'id' and 'messages' must not be empty"),
        (json.dumps({"id": "d", "messages": [OPEN]}), "but: "),
        (
            json.dumps({"id": "d", "messages": [user("a"), user("b")]}),
            "Turn 1 must be a AssistantTurn, but is a UserTurn",
        ),
        (
            json.dumps({"id": "d", "messages": [{"role": "robot", "content": "a"}]}),
            "'role' must be one of system, user, assistant, but is 'robot'",
        ),
        (
            json.dumps({"id": "d", "messages": [{**user("a"), "name": "Tom"}]}),
            "a user message must not have 'name'",
        ),
        (
            json.dumps(
                {
                    "id": "d",
                    "messages": [
                        user("a"),
                        {"role": "assistant", "content": "b", "train": True},
                        user("c"),
                    ],
                }
            ),
            "an assistant message with 'content' must not have 'train'",
        ),
        (
            json.dumps({"id": "d", "messages": [user([{"type": "audio", "audio": "no"}])]}),
            r"must be an utterance of the manifest, but 'no' is none \(dialogue 'd'",
        ),
        (json.dumps(DIALOGUES[0]), "'id' must be unique, but 'spoken' is already in line 1"),
    ],
)
def test_a_bad_line_is_named(folder, llm_path, line, sentence):
    path = folder / "in.jsonl"
    path.write_text(json.dumps(DIALOGUES[0]) + "\n" + line + "\n")
    words = [folder / "dev.tsv", path, "--llm", llm_path]
    with pytest.raises(ValueError, match=rf"in\.jsonl:2: .*{sentence}"):
        answer(parser().parse_args([str(word) for word in words]))
