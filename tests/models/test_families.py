"""LLMs of other families, from files in their releases' format, against plain transformers."""

import json
from pathlib import Path
from types import SimpleNamespace

import families
import pytest
import tiny
import torch
from generate_responses import generate, parser
from transformers import AutoModelForCausalLM, PreTrainedModel

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.response_record import read_header, read_records
from fairseq_audiochat.modules.greedy_response import respond
from fairseq_audiochat.modules.llm_loading import load_llm

LENGTHS = [5, 1, 17]


@pytest.fixture(scope="module", params=list(families.FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.make_family(tmp_path_factory.mktemp("family") / request.param, request.param)


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("family_data") / "data", folder, dev=3)


@pytest.fixture(scope="module")
def stock(folder: Path) -> PreTrainedModel:
    """What everyone else loads."""
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


@torch.no_grad()
def test_packed_sequences_equal_stock_transformers_alone(folder: Path, stock: PreTrainedModel):
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    llm = load_llm(folder, torch.float32)
    prefix = torch.randint(3, 300, (6,))
    tokens = [torch.randint(3, 300, (length,)) for length in LENGTHS]
    embeddings = torch.cat([llm.embed(ids) for ids in tokens])
    for start, read in ((prefix[:0], None), (prefix, llm.embed(prefix))):
        hidden = llm.packed_hidden(embeddings, LENGTHS, read)
        for ids, packed in zip(tokens, llm.logits(hidden).split(LENGTHS)):
            alone = stock(torch.cat((start, ids)).unsqueeze(0)).logits[0, len(start) :]
            torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-5)


def test_greedy_responses_equal_transformers_generate(folder: Path, stock: PreTrainedModel):
    llm = load_llm(folder, torch.float32)
    prompts = [torch.randint(3, 300, (length,)).tolist() for length in (4, 12, 3)]
    eos = respond(llm, prompts, [9, 9, 9], eos_id=-1)[1].ids[4]  # one that does come
    for prompt, response in zip(prompts, respond(llm, prompts, [9, 9, 9], eos)):
        (alone,) = stock.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=9,
            do_sample=False,
            eos_token_id=eos,
            pad_token_id=0,
        )
        ids = alone[len(prompt) :].tolist()
        assert response.ids == [token for token in ids if token != eos]
        assert response.ended == ("eos" if eos in ids else "length")


@torch.no_grad()
def test_text_as_audio_equals_text(folder, data, stock, monkeypatch: pytest.MonkeyPatch):
    """The embeddings of the transcript's tokens, fed as audio, give the text prompt's logits."""
    task, model = tiny.make_chat(data, folder)
    sample = tiny.batch(task, "dev", [0, 1, 2])
    dataset = task.dataset("dev")
    place = dataset._audio_prompt.index(AUDIO_PLACEHOLDER)
    tail = len(dataset._audio_prompt) - place - 1
    prompts = [dataset.responses[row].prompt for row in range(3)]
    texts = [torch.tensor(prompt[place : len(prompt) - tail]) for prompt in prompts]
    audio = torch.nn.utils.rnn.pad_sequence(
        [model.decoder.llm.embed(text) for text in texts], batch_first=True
    )
    lengths = torch.tensor([len(text) for text in texts])
    monkeypatch.setattr(model.encoder, "embed_audio", lambda *_: (audio, lengths))
    logits, _ = model(**sample["net_input"])
    for row, prompt in enumerate(prompts):
        target = dataset.responses[row].target(task.template.eos_id)
        expected = stock(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        difference = (logits[row, : len(target)] - expected).abs().max()
        assert difference < 1e-5 * expected.abs().max()  # fp32


def test_searches_end_with_the_templates_end(folder: Path, data: Path):
    task, model = tiny.make_chat(data, folder)
    generator = task.build_generator([model], SimpleNamespace(beam=3, max_len_b=5))
    found = task.inference_step(generator, [model], tiny.batch(task, "dev", [0, 1]))
    ends = {row["tokens"][-1].item() for hypotheses in found for row in hypotheses}
    assert ends == {task.template.eos_id}
    name = families.FAMILIES[folder.name].end
    assert task.target_dictionary[task.template.eos_id] == name


def test_responses_are_to_the_familys_template(folder: Path, data: Path, tmp_path: Path):
    for name in ("dev.tsv",):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    output = generate(parser().parse_args([str(tmp_path / "dev.tsv"), "--llm", str(folder)]))
    assert read_header(output).template == "hugging_face_chat/1"
    task, _ = tiny.make_chat(data, folder)
    for record, row in zip(read_records(output), tiny.batch(task, "dev", [0, 1, 2])["transcripts"]):
        assert record.prompt == task.template.prompt(Conversation.of_text(row))
        assert task.template.eos_id not in record.response


def test_responses_to_another_template_are_refused(folder: Path, data: Path, tmp_path: Path):
    for path in data.glob("dev*"):
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "dev.responses.jsonl"
    header, *lines = path.read_text().splitlines()
    stated = {**json.loads(header), "template": "llama2_chat/1"}
    path.write_text("\n".join([json.dumps(stated), *lines]) + "\n")
    task, _ = tiny.make_chat(tmp_path, folder)
    with pytest.raises(
        ValueError,
        match="chat template 'hugging_face_chat/1', but are to 'llama2_chat/1'; generate the",
    ):
        task.load_dataset("dev")
