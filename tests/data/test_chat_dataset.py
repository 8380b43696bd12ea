"""Prompts and responses in a batch: every token at its place, in both kinds of prompt."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_audiochat.data.chat_dataset import ChatDataset
from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.limits import exclude
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Manifest, write_manifest
from fairseq_audiochat.data.prompt_batch import PromptKind, collate_prompts
from fairseq_audiochat.data.responses import Responses

PAD = 9_999


@pytest.fixture
def template(llm_path: Path) -> Llama2Chat:
    return Llama2Chat(llm_path / "tokenizer.model")


def make(
    folder: Path, template: Llama2Chat, text_prompts: bool, context: ContextLimit | None = None
) -> ChatDataset:
    manifest = Manifest(folder / "dev.tsv")
    responses = Responses(folder / "dev.responses.jsonl", manifest)
    prompts = PromptKind.TEXT if text_prompts else PromptKind.AUDIO
    return ChatDataset(manifest, responses, template, prompts, PAD, context=context)


def test_spoken_prompts(data_folder: Path, template: Llama2Chat) -> None:
    """One recording for each utterance, at the place that the template gives it."""
    dataset = make(data_folder, template, text_prompts=False)
    items = [dataset[index] for index in (2, 5)]
    net_input = dataset.collater(items)["net_input"]
    prompt = template.prompt(Conversation.of_audio())
    assert net_input["src_tokens"].tolist() == [prompt[:-1], prompt[:-1]]
    assert net_input["src_lengths"].tolist() == [len(prompt) - 1] * 2
    assert net_input["frame_lengths"].tolist() == [dataset.sizes[2], dataset.sizes[5]]
    for row, index in enumerate((2, 5)):
        clip = net_input["features"][row, : dataset.sizes[index]].numpy()
        assert np.array_equal(clip, dataset.features(index))


def test_written_prompts(data_folder: Path, template: Llama2Chat) -> None:
    """The very ids that the LLM answered, and no recording is read."""
    dataset = make(data_folder, template, text_prompts=True)
    batch = dataset.collater([dataset[index] for index in range(len(dataset))])
    net_input = batch["net_input"]
    for index in range(len(dataset)):
        length = int(net_input["src_lengths"][index])
        prompt = dataset.responses[index].prompt
        assert net_input["src_tokens"][index, :length].tolist() == prompt[:-1]
        assert (net_input["src_tokens"][index, length:] == PAD).all()
        assert prompt == template.prompt(Conversation.of_text(batch["transcripts"][index]))
    assert net_input["features"].shape[0] == 0


@pytest.mark.parametrize("text_prompts", [True, False])
def test_decoder_reads_one_token_behind(
    data_folder: Path, template: Llama2Chat, text_prompts: bool
) -> None:
    """First the prompt's last token, then the target without its last; EOS only where it ended."""
    dataset = make(data_folder, template, text_prompts)
    batch = dataset.collater([dataset[index] for index in range(len(dataset))])
    for index in range(len(dataset)):
        response = dataset.responses[index]
        length = len(response.response) + (response.ended == "eos")
        target = batch["target"][index, :length].tolist()
        assert target[: len(response.response)] == response.response
        assert (target[-1] == template.eos_id) == (response.ended == "eos")
        assert (batch["target"][index, length:] == PAD).all()
        previous = batch["net_input"]["prev_output_tokens"][index]
        assert previous[:length].tolist() == [response.prompt[-1], *target[:-1]]
        assert (previous[length:] == PAD).all()
    assert batch["ntokens"] == int(dataset.responses.lengths().sum())
    endings = {dataset.responses[index].ended for index in range(len(dataset))}
    assert endings == {"eos", "length"}, "the test must have met both"


def test_no_items_are_no_batch(data_folder: Path, template: Llama2Chat) -> None:
    assert make(data_folder, template, text_prompts=False).collater([]) == {}


@pytest.mark.parametrize("text_prompts", [False, True])
def test_every_arm_excludes_the_same_utterances(
    data_folder: Path, template: Llama2Chat, text_prompts: bool
) -> None:
    """Template and the longer of transcript and audio (a position per 8 frames), and response."""
    around = sum(token != AUDIO_PLACEHOLDER for token in template.prompt(Conversation.of_audio()))
    unlimited = make(data_folder, template, text_prompts)
    needed = np.array(
        [
            max(len(unlimited.responses[i].prompt), around + -(-unlimited.sizes[i] // 8))
            + len(unlimited[i]["target"])
            for i in range(len(unlimited))
        ]
    )
    limit = int(np.median(needed))
    at_most = ContextLimit(limit, audio_positions=lambda frames: (frames + 7) // 8)
    dataset = make(data_folder, template, text_prompts, context=at_most)
    ((rule, exceeding),) = dataset.exceeding(np.arange(len(dataset)))
    assert rule == (
        f"need more than the {limit} positions of the LLM, which a larger --stack-frames or an LLM "
        "with a longer context would hold"
    )
    assert exceeding.tolist() == (needed > limit).tolist()
    assert 0 < exceeding.sum() < len(dataset)


def test_batches_hold_what_the_llm_may_compute(data_folder: Path, template: Llama2Chat) -> None:
    everything = ContextLimit(1_000, audio_positions=lambda frames: (frames + 7) // 8)
    dataset = make(data_folder, template, text_prompts=False, context=everything)
    order = dataset.ordered_indices()
    around = sum(token != AUDIO_PLACEHOLDER for token in template.prompt(Conversation.of_audio()))
    costs = [
        max(len(dataset.responses[i].prompt), around + -(-dataset.sizes[i] // 8))
        + len(dataset[i]["target"])
        for i in range(len(dataset))
    ]
    dataset.max_llm_positions = 2 * max(costs)
    batches = dataset.batch_by_size(order, max_sentences=4)
    assert [index for batch in batches for index in batch] == order.tolist()
    assert all(sum(costs[index] for index in batch) <= 2 * max(costs) for batch in batches)
    assert len(batches) > len(order) / 4, "the limit must have cut some batch"
    dataset.max_llm_positions = max(costs) - 1
    longest = dataset.manifest[int(np.argmax(costs))].id
    with pytest.raises(
        ValueError, match=f"must hold every utterance, but is .*'{longest}' needs {max(costs)}"
    ):
        dataset.batch_by_size(order)


def test_the_control_reads_the_template_alone(data_folder: Path, template: Llama2Chat) -> None:
    dataset = make(data_folder, template, text_prompts=False)
    dataset.prompts = PromptKind.NONE
    item = dataset[0]
    assert item["prompt"] == template.prompt(Conversation.of_text(""))
    assert item["clips"] == []


def test_a_response_to_another_transcript_is_named(
    data_folder: Path, template: Llama2Chat, tmp_path: Path
) -> None:
    rows = [Manifest(data_folder / "dev.tsv")[i] for i in range(7)]
    write_manifest(tmp_path / "dev.tsv", [row._replace(text="say it again") for row in rows])
    shutil.copy(data_folder / "dev.responses.jsonl", tmp_path)
    dataset = make(tmp_path, template, text_prompts=False)
    with pytest.raises(ValueError, match="must be to the manifest's transcript, but that of utter"):
        dataset[0]


def exclude_some(source: Path, folder: Path) -> Path:
    """The split dev with three of its seven responses excluded, one of them over every context."""
    manifest = Manifest(source / "dev.tsv")
    write_manifest(folder / "dev.tsv", [manifest[index] for index in range(7)])
    lines = (source / "dev.responses.jsonl").read_text().splitlines()
    for line, reason in ((2, "refusal"), (4, "refusal"), (7, "too long a prompt")):
        record = json.loads(lines[line])
        if reason != "refusal":
            record.update(response=[], text="", ended="", prompt=[1] * 9_999)
        lines[line] = json.dumps({**record, "excluded": reason})
    (folder / "dev.responses.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("may_exclude", [True, False])
def test_excluded_responses_are_left_out_everywhere_and_counted(
    data_folder: Path,
    template: Llama2Chat,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    may_exclude: bool,
) -> None:
    """No limit speaks of them: what is excluded is not too long, it is not there."""
    folder = exclude_some(data_folder, tmp_path)
    context = ContextLimit(4_096, audio_positions=lambda frames: frames // 8)
    dataset = make(folder, template, text_prompts=False, context=context)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        kept = exclude(dataset, np.arange(7), None, may_exclude)
    # Line 0 is the header: lines 2, 4 and 7 are utterances 1, 3 and 6.
    assert kept.tolist() == [0, 2, 4, 5]
    path = folder / "dev.tsv"
    assert caplog.messages == [
        f"{path}: 2 of 7 utterances have a response that is excluded (refusal) (first: 'dev-1') "
        "and are left out",
        f"{path}: 1 of 7 utterances have a response that is excluded (too long a prompt) (first: "
        "'dev-6') and are left out",
    ]


def test_several_recordings_in_one_prompt() -> None:
    """Recordings of all prompts lie one after another, in the order of their placeholders."""
    clips = [np.full((frames, 80), frames, dtype=np.float32) for frames in (1, 2, 3)]
    batch = collate_prompts(
        [[5, AUDIO_PLACEHOLDER, 6, AUDIO_PLACEHOLDER, 7], [5, 7], [AUDIO_PLACEHOLDER, 7]],
        [clips[:2], [], clips[2:]],
        pad=PAD,
    )
    assert batch["src_tokens"].tolist() == [
        [5, AUDIO_PLACEHOLDER, 6, AUDIO_PLACEHOLDER],
        [5, PAD, PAD, PAD],
        [AUDIO_PLACEHOLDER, PAD, PAD, PAD],
    ]
    assert batch["src_lengths"].tolist() == [4, 1, 1]
    assert batch["frame_lengths"].tolist() == [1, 2, 3]
    assert batch["features"][:, 0, 0].tolist() == [1, 2, 3]
    assert batch["src_tokens"].dtype == batch["src_lengths"].dtype == torch.int64


def test_placeholder_without_recording_is_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"Prompt 1 must have one recording for each of its 1 audio parts, but has 0",
    ):
        collate_prompts([[5], [AUDIO_PLACEHOLDER, 7]], [[], []], pad=PAD)
