"""Dialogues as training data: equal to single turns, to transformers, and to text."""

import json
import shutil

import pytest
import tiny
import torch
from answer_dialogues import answer, parser
from command_line import CHAT, OPTIMIZATION, TINY_ENCODER, USER_DIR, training_config
from fairseq_cli.train import main as fairseq_train
from transformers import AutoModelForCausalLM

from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion
from fairseq_audiochat.data.dialogue_record import REGENERATE
from fairseq_audiochat.data.dialogues import Dialogues
from fairseq_audiochat.data.manifest import Manifest, write_manifest
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks.audio_chat import AudioChatTask


def user(*parts):
    return {"role": "user", "content": list(parts)}


def audio(id):
    return {"type": "audio", "audio": id}


def text(words):
    return {"type": "text", "text": words}


OPEN = {"role": "assistant"}
DIALOGUES = [
    *({"id": f"one{row}", "messages": [user(audio(f"dev-{row}"))]} for row in range(7)),
    {"id": "two", "messages": [user(audio("dev-1")), OPEN, user(text("say it"), audio("dev-2"))]},
    {"id": "written", "messages": [user(text("tell me more")), OPEN, user(audio("dev-4"))]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data_folder, llm_path):
    """The split ``dev`` with answered dialogues in the place of responses."""
    folder = shutil.copytree(data_folder, tmp_path_factory.mktemp("dialogues") / "data")
    (folder / "dev.responses.jsonl").unlink()
    (folder / "in.jsonl").write_text("".join(json.dumps(made) + "\n" for made in DIALOGUES))
    words = [folder / "dev.tsv", folder / "in.jsonl", "--llm", llm_path]
    answer(parser().parse_args([str(word) for word in words]))
    return folder


def task_of(folder, llm_path, **options):
    return AudioChatTask(AudioChatConfig(data=str(folder), llm=str(llm_path), seed=1, **options))


@pytest.fixture(scope="module")
def chat(folder, llm_path):
    """The task and a model; dialogues are opened with it."""
    task = task_of(folder, llm_path)
    model = tiny.make_model(task)
    task.load_dataset("dev")
    return task, model


def test_single_turns_are_what_the_dataset_of_single_turns_gives(folder, chat, tmp_path, llm_path):
    task, _ = chat
    alone = shutil.copytree(folder, tmp_path / "alone")
    header, *lines = (alone / "dev.dialogues.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines[:7]]
    kept = ("prompt", "response", "text", "ended", "excluded")
    responses = [
        {"id": f"dev-{row}", **{name: record[name] for name in kept}}
        for row, record in enumerate(records)
    ]
    header = header.replace("dialogues/1", "responses/2")
    content = [header, *map(json.dumps, responses)]
    (alone / "dev.responses.jsonl").write_text("\n".join(content) + "\n")
    (alone / "dev.dialogues.jsonl").unlink()
    single = task_of(alone, llm_path)
    tiny.make_model(single)
    single.load_dataset("dev")
    rows = list(range(7))
    ours, theirs = (tiny.batch(one, "dev", rows) for one in (task, single))
    assert torch.equal(ours["target"], theirs["target"])
    for name, expected in theirs["net_input"].items():
        assert torch.equal(ours["net_input"][name], expected), name
    positions = [one.dataset("dev")._positions(torch.arange(7).numpy()) for one in (task, single)]
    assert (positions[0] == positions[1]).all()


def test_positions_are_those_of_the_prompts_that_the_encoder_builds(chat):
    task, model = chat
    dataset = task.dataset("dev")
    rows = list(range(len(dataset)))
    sample = tiny.batch(task, "dev", rows)
    inputs = {name: part for name, part in sample["net_input"].items() if "prev" not in name}
    lengths = model.encoder(**inputs)["prompt_lengths"][0] + 1  # the decoder's first input
    expected = dataset.audio_prompt_lengths(dataset.context, torch.tensor(rows).numpy())
    assert lengths.tolist() == expected.tolist()


def test_text_arm_is_scored_as_transformers_scores_it(folder, llm_path):
    task = task_of(folder, llm_path, prompt="text")
    model = tiny.make_model(task)
    task.load_dataset("dev")
    row = 8  # the second answer of "two"
    record = task.dataset("dev").dialogues.record(row)
    assert record.id == "two/2"
    sample = tiny.batch(task, "dev", [row])
    loss, tokens, _ = task.valid_step(sample, model, ResponseDistillationCriterion(task))
    target = record.answer().target(task.template.eos_id)
    llm = AutoModelForCausalLM.from_pretrained(llm_path)
    with torch.no_grad():
        logits = llm(torch.tensor([[*record.prompt, *target]])).logits[
            0, len(record.prompt) - 1 : -1
        ]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="sum")
    assert tokens == len(target)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_transcripts_embeddings_in_the_place_of_audio_give_the_text_dialogue(
    chat, folder, llm_path, monkeypatch
):
    """Both recordings of a dialogue, and what was written between them, at their places."""
    task, model = chat
    written = task_of(folder, llm_path, prompt="text")
    text_model = tiny.make_model(written)
    written.load_dataset("dev")
    rows = [8, 10]
    criterion = ResponseDistillationCriterion(task)
    expected, _, _ = written.valid_step(tiny.batch(written, "dev", rows), text_model, criterion)
    sample = tiny.batch(task, "dev", rows)
    # The last recording begins a later turn, where the template puts a blank before a text.
    transcripts = [*sample["transcripts"][:-1], " " + sample["transcripts"][-1]]
    ids = [torch.tensor(task.template.encode(words)) for words in transcripts]
    embedded = [model.encoder.embed_tokens(tokens) for tokens in ids]
    audio = torch.nn.utils.rnn.pad_sequence(embedded, batch_first=True)
    lengths = torch.tensor([len(tokens) for tokens in ids])
    monkeypatch.setattr(model.encoder, "embed_audio", lambda *_: (audio, lengths))
    found, _, _ = task.valid_step(sample, model, criterion)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_batch_gives_what_its_members_give(chat):
    task, model = chat
    criterion = ResponseDistillationCriterion(task)
    rows = list(range(len(task.dataset("dev"))))
    together, tokens, _ = task.valid_step(tiny.batch(task, "dev", rows), model, criterion)
    alone = [task.valid_step(tiny.batch(task, "dev", [row]), model, criterion) for row in rows]
    assert tokens == sum(count for _, count, _ in alone)
    assert float(together) == pytest.approx(sum(float(loss) for loss, _, _ in alone), rel=1e-4)


def test_prompt_none_leaves_the_recordings_out(folder, llm_path):
    task = task_of(folder, llm_path, prompt="none")
    tiny.make_model(task)
    task.load_dataset("dev")
    item = task.dataset("dev")[8]
    prompt = task.template.decode([token for token in item["prompt"] if token >= 0])
    assert "say it" in prompt
    assert item["clips"] == []


def test_a_cascade_reads_transcripts_in_the_places_of_recordings(folder, llm_path, checkpoints):
    task = task_of(folder, llm_path, prompt="cascade", asr_checkpoint=str(checkpoints["ctc"]))
    model = tiny.make_model(task)
    task.load_dataset("dev")
    task._cascade.transcribe = lambda features, lengths: ["two", "again"]
    sample = tiny.batch(task, "dev", [8])
    record = task.dataset("dev").dialogues.record(8)
    _, _, log = task.valid_step(sample, model, ResponseDistillationCriterion(task))
    conversation = task.dataset("dev")[8]["conversation"].written(["two", "again"])
    prompt = task.template.prompt(conversation)
    assert sample["net_input"]["src_tokens"][0].tolist() == prompt[:-1]
    manifest = Manifest(folder / "dev.tsv")
    assert log["prompt_words"] == sum(len(manifest[row].text.split()) for row in (1, 2))
    assert record.prompt != prompt


def test_dialogues_are_trained_by_the_command(folder, llm_path, tmp_path):
    words = [folder, "--user-dir", USER_DIR, *OPTIMIZATION, *TINY_ENCODER, *CHAT, "--llm", llm_path]
    words += ["--max-update", 2, "--train-subset", "dev", "--valid-subset", "dev"]
    words += ["--num-workers", 0, "--max-tokens", 2000, "--save-dir", tmp_path]
    fairseq_train(training_config(*words))
    assert (tmp_path / "checkpoint_last.pt").exists()


def test_a_split_has_responses_or_dialogues(folder, llm_path, tmp_path, data_folder):
    both = shutil.copytree(folder, tmp_path / "both")
    shutil.copy(data_folder / "dev.responses.jsonl", both)
    with pytest.raises(ValueError, match=r"must have responses or dialogues, but dev.responses"):
        task_of(both, llm_path).load_dataset("dev")


def test_a_transcript_that_has_changed_is_refused(folder, llm_path, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    manifest = Manifest(copy / "dev.tsv")
    rows = [manifest[row] for row in range(7)]
    rows[2] = rows[2]._replace(text="other words")
    write_manifest(copy / "dev.tsv", rows)
    task = task_of(copy, llm_path)
    task.load_dataset("dev")
    with pytest.raises(ValueError, match=r"the manifest's transcripts, but that of 'two/2'"):
        task.dataset("dev")[8]


def lines_of(folder):
    return (folder / "dev.dialogues.jsonl").read_text().splitlines()


@pytest.mark.parametrize(
    ("number", "change", "sentence"),
    [
        (0, lambda line: "{}", r"jsonl:1: the first line must be a header of format"),
        (2, lambda line: line[:50], r"jsonl:3: a record must have id, messages, audio"),
        (
            1,
            lambda line: line.replace('"dev-0"', '"dev-9"'),
            r"every recording must be in",
        ),
        (
            2,
            lambda line: line.replace("one1/1", "one0/1"),
            r"jsonl:3: 'id' must be unique",
        ),
    ],
)
def test_a_bad_file_is_refused(folder, tmp_path, number, change, sentence):
    lines = lines_of(folder)
    lines[number] = change(lines[number])
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=rf"(?s){sentence}.*{REGENERATE}"):
        Dialogues(path, Manifest(folder / "dev.tsv"))


def test_a_file_without_answers_is_refused(folder, tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text(lines_of(folder)[0] + "\n")
    with pytest.raises(ValueError, match="there must be at least one answer, but is none"):
        Dialogues(path, Manifest(folder / "dev.tsv"))
