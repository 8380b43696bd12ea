"""The model as a whole: text as audio, batches, what is trained, and what is saved."""

import json
import math
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from fairseq.dataclass.configs import EMAConfig
from fairseq.models.ema import EMA
from omegaconf import OmegaConf
from transformers import AutoModelForCausalLM

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER


@pytest.fixture(scope="module")
def chat(data_folder: Path, llm_path: Path):
    return tiny.make_chat(data_folder, llm_path)


def test_text_as_audio_equals_text(chat, llm_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The embeddings of the transcript's tokens, fed as audio, give the text prompt's logits."""
    task, model = chat
    sample = tiny.batch(task, "dev", [0, 1, 2, 3])
    dataset = task.dataset("dev")
    prompts = [dataset.responses[index].prompt for index in range(4)]
    prefix, suffix = (len(part) for part in split_at_placeholder(dataset._audio_prompt))
    texts = [torch.tensor(prompt[prefix : len(prompt) - suffix]) for prompt in prompts]
    audio = torch.nn.utils.rnn.pad_sequence(
        [model.decoder.llm.embed(text) for text in texts], batch_first=True
    )
    lengths = torch.tensor([len(text) for text in texts])
    monkeypatch.setattr(model.encoder, "embed_audio", lambda *_: (audio, lengths))
    logits, _ = model(**sample["net_input"])
    stock = AutoModelForCausalLM.from_pretrained(llm_path, attn_implementation="eager").eval()
    for row, prompt in enumerate(prompts):
        target = dataset.responses[row].target(task.template.eos_id)
        whole = stock(torch.tensor([prompt + target])).logits[0]
        expected = whole[len(prompt) - 1 : -1]  # the positions that predict the response
        difference = (logits[row, : len(target)] - expected).abs().max()
        assert difference < 1e-5 * expected.abs().max()  # fp32


def split_at_placeholder(prompt: list[int]) -> tuple[list[int], list[int]]:
    position = prompt.index(AUDIO_PLACEHOLDER)
    return prompt[:position], prompt[position + 1 :]


@pytest.mark.parametrize("stack_frames", [1, 3])
def test_padded_batch_equals_members_alone(data_folder: Path, llm_path: Path, stack_frames: int):
    task, model = tiny.make_chat(data_folder, llm_path, stack_frames=stack_frames)
    indices = list(range(7))
    together, alone = 0.0, 0.0
    net_input = tiny.batch(task, "dev", indices)["net_input"]
    logits, _ = model(**net_input)
    prompts = encode(model, net_input)
    for row in indices:
        single = tiny.batch(task, "dev", [row])
        length = single["ntokens"]
        single_logits, _ = model(**single["net_input"])
        # fp32; other batch shapes choose other summation orders
        torch.testing.assert_close(logits[row, :length], single_logits[0], atol=2e-5, rtol=1e-5)
        prompt = encode(model, single["net_input"])
        assert prompts["prompt_lengths"][0][row] == prompt["prompt_lengths"][0]
        positions = int(prompt["prompt_lengths"][0])
        torch.testing.assert_close(
            prompts["prompt_embeddings"][0][row, :positions],
            prompt["prompt_embeddings"][0][0],
            atol=1e-5,
            rtol=0,
        )
        together += nats(task, logits[row : row + 1, :length], single["target"])
        alone += nats(task, single_logits, single["target"])
    assert math.isclose(together, alone, rel_tol=1e-6)


def encode(model, net_input):
    return model.encoder.forward_torchscript(net_input)


def nats(task, logits: torch.Tensor, target: torch.Tensor) -> float:
    return torch.nn.functional.cross_entropy(logits[0], target[0], reduction="sum").item()


def test_hidden_states_are_those_of_the_responses_in_order(chat):
    task, model = chat
    sample = tiny.batch(task, "dev", [2, 0, 5])
    hidden = model(**sample["net_input"], features_only=True)
    real = sample["target"] != task.target_dictionary.pad()
    assert hidden.shape == (sample["ntokens"], model.decoder.llm.width)
    logits, _ = model(**sample["net_input"])
    torch.testing.assert_close(model.decoder.output_layer(hidden), logits[real])
    assert (logits[~real] == 0).all()


def test_only_encoder_and_projection_are_trained_and_saved(chat):
    task, model = chat
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"audio_encoder", "adapter"}
    assert set(model.state_dict()) == trained | {"llm_version"}
    hidden = model(**tiny.batch(task, "dev", [0, 1])["net_input"], features_only=True)
    hidden.square().sum().backward()
    assert all(p.grad is None for p in model.decoder.llm.parameters())
    assert all(p.grad is not None for name, p in model.named_parameters() if name in trained)


def test_checkpointed_activations_train_alike(data_folder, llm_path):
    gradients = []
    for option in (False, True):
        task, model = tiny.make_chat(data_folder, llm_path, checkpoint_activations=option)
        hidden = model(**tiny.batch(task, "dev", [0, 3])["net_input"], features_only=True)
        hidden.square().sum().backward()
        trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        gradients.append(trained)
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-5, rtol=1e-4)


def test_autocast_is_about_what_is_trained(data_folder, llm_path):
    """fairseq's --amp: the encoder in half precision, the LLM and its loss in --llm-dtype."""
    task, model = tiny.make_chat(data_folder, llm_path)
    sample = tiny.batch(task, "dev", [0, 3])
    criterion = task.build_criterion(OmegaConf.create({"_name": "response_distillation"}))
    expected = criterion(model, sample)[0]
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(model, sample)[0]
    loss.backward()
    # bfloat16 keeps 8 bits of the audio embeddings; in the LLM's head it would be off by more
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)
    assert loss != expected, "the encoder must have computed in bfloat16"
    assert all(p.grad is not None for p in model.encoder.adapter.parameters())


def test_exponential_moving_average_of_fairseq(chat):
    """EMA deep-copies the model and averages its state dict, all but the LLM's fingerprint."""
    _, model = chat
    average = EMA(model, EMAConfig(store_ema=True, ema_decay=0.5), device=torch.device("cpu"))
    with torch.no_grad():
        model.encoder.adapter.projection.bias += 1.0
    average.step(model, updates=1)
    with torch.no_grad():
        model.encoder.adapter.projection.bias -= 1.0
    averaged = average.get_model()
    moved = averaged.encoder.adapter.projection.bias - model.encoder.adapter.projection.bias
    torch.testing.assert_close(moved, torch.full_like(moved, 0.5))
    assert torch.equal(averaged.llm_version, model.llm_version)


@pytest.mark.parametrize("stack_frames", [1, 3])
def test_positions_that_limits_count_are_those_of_the_prompt(data_folder, llm_path, stack_frames):
    task, model = tiny.make_chat(data_folder, llm_path, stack_frames=stack_frames)
    net_input = tiny.batch(task, "dev", list(range(7)))["net_input"]
    template = net_input["src_lengths"] - 1  # without the placeholder
    expected = (encode(model, net_input)["prompt_lengths"][0] - template).tolist()
    frames = net_input["frame_lengths"]
    assert model.encoder.audio_positions(frames).tolist() == expected
    assert model.encoder.audio_positions(frames.numpy()).tolist() == expected


def test_half_precision_of_what_is_trained(data_folder, llm_path):
    """fairseq-validate --fp16 halves the model and hands it float32 features."""
    task, model = tiny.make_chat(data_folder, llm_path)
    net_input = tiny.batch(task, "dev", [0, 1])["net_input"]
    exact, _ = model(**net_input)
    llm = {name: tensor.clone() for name, tensor in model.decoder.llm.named_parameters()}
    logits, _ = model.half()(**net_input)
    assert logits.dtype == torch.float32
    for name, tensor in model.decoder.llm.named_parameters():  # not rounded on the way
        assert torch.equal(tensor, llm[name]), name
    assert (logits - exact).std() < 0.05 * exact.std()  # 11 bits of mantissa in the encoder


def test_another_llm_is_refused(chat, data_folder: Path, tmp_path: Path):
    state = chat[1].state_dict()
    _, other = tiny.make_chat(data_folder, tiny.make_llm(tmp_path / "llm", seed=1))
    with pytest.raises(ValueError, match="must be the one that the checkpoint was trained with"):
        other.load_state_dict(state)


def test_another_tokenizer_is_refused(chat, data_folder: Path, llm_path: Path, tmp_path: Path):
    shutil.copytree(llm_path, tmp_path / "llm")
    tiny.make_llm_tokenizer(tmp_path / "llm/tokenizer.model", vocabulary_size=339)
    _, other = tiny.make_chat(data_folder, tmp_path / "llm")
    with pytest.raises(ValueError, match=r"differs: tokenizer \w{12} instead of \w{12};"):
        other.load_state_dict(chat[1].state_dict())


def test_an_llm_of_another_width_is_refused_in_the_same_words(
    chat, data_folder: Path, tmp_path: Path
):
    folder = tiny.make_llm(tmp_path / "llm", hidden_size=64)
    _, other = tiny.make_chat(data_folder, folder)
    with pytest.raises(ValueError, match=r"was trained with, but differs: architecture .*embeddi"):
        other.load_state_dict(chat[1].state_dict())


def test_a_tokenizer_with_more_pieces_than_embeddings_is_refused(
    data_folder: Path, llm_path: Path, tmp_path: Path
):
    shutil.copytree(llm_path, tmp_path / "llm")
    config = json.loads((tmp_path / "llm/config.json").read_text())
    (tmp_path / "llm/config.json").write_text(json.dumps({**config, "vocab_size": 300}))
    with pytest.raises(ValueError, match="has 340 pieces and the LLM 300 embeddings"):
        tiny.make_chat(data_folder, tmp_path / "llm")


def test_the_llm_may_compute_in_bfloat16(data_folder: Path, llm_path: Path):
    task, model = tiny.make_chat(data_folder, llm_path)
    exact, _ = model(**tiny.batch(task, "dev", [0, 1])["net_input"])
    task.cfg.llm_dtype, task._llm = "bfloat16", None
    torch.manual_seed(0)
    low = type(model)(model.encoder, type(model.decoder)(task.target_dictionary, task.load_llm()))
    low.encoder.embed_tokens = task.load_llm().embed
    logits, _ = low(**tiny.batch(task, "dev", [0, 1])["net_input"])
    assert logits.dtype == torch.bfloat16
    # 8 bits of mantissa: the same predictions up to about a percent of their spread
    assert (logits.float() - exact).std() < 0.05 * exact.std()


@pytest.mark.parametrize("quantisation", ["none", "int8"])
def test_distributed_training_does_not_send_the_llm(
    data_folder: Path, llm_path: Path, quantisation: str, monkeypatch: pytest.MonkeyPatch
):
    sent: list[torch.Tensor] = []
    send = torch.distributed._broadcast_coalesced
    monkeypatch.setattr(
        torch.distributed,
        "_broadcast_coalesced",
        lambda group, tensors, *rest: sent.extend(tensors) or send(group, tensors, *rest),
    )
    task, _ = tiny.make_chat(data_folder, llm_path)
    task.cfg.llm_quantisation, task._llm = quantisation, None
    model = tiny.make_model(task, checkpoint_activations=True).train()
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
        logits, _ = wrapped(**tiny.batch(task, "dev", [0, 1])["net_input"])
        logits.logsumexp(-1).sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    own = sum(buffer.numel() for name, buffer in model.named_buffers() if ".llm." not in name)
    # Buffers once more before a forward pass.
    assert sum(tensor.numel() for tensor in sent) == 2 * own + sum(p.numel() for p in trained)


def test_only_a_ctc_checkpoint_gives_an_encoder(data_folder: Path, llm_path: Path, tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(FileNotFoundError, match="--encoder-checkpoint must exist, but does not"):
        tiny.make_chat(data_folder, llm_path, encoder_checkpoint=str(path))
    history = {"num_updates": 0, "lr_scheduler_state": {}, "criterion_name": "audio_ctc"}
    checkpoint = {
        "cfg": {"model": {"_name": "audio_prefix_llm"}},
        "model": {},
        "optimizer_history": [{**history, "optimizer_name": "adam", "best_loss": 1.0}],
        "extra_state": {"epoch": 1, "train_iterator": {"epoch": 1}},
    }
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="of conformer_ctc, but is one of 'audio_prefix_llm'"):
        tiny.make_chat(data_folder, llm_path, encoder_checkpoint=str(path))
