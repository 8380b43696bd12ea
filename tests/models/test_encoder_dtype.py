"""``--encoder-dtype bfloat16``: products in bfloat16, weights, gradients and losses in float32."""

from pathlib import Path

import pytest
import tiny
import torch
from command_line import CHAT, OPTIMIZATION, TINY_ENCODER, USER_DIR, training_config
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from fairseq_cli.train import main as fairseq_train
from omegaconf import OmegaConf

from fairseq_audiochat.criterions.audio_ctc import AudioCtcCriterion
from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion
from fairseq_audiochat.models.conformer_ctc import ConformerCtcConfig
from fairseq_audiochat.modules.precision import computing_in
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask

# A bfloat16 has 8 significant bits: rounding one is off by at most 2 ** -9 of it, and errors
# of many roundings mostly cancel out.
NEAR = 0.02


def make_ctc(data: Path, **model: object):
    task = AudioCtcTask(AudioCtcConfig(data=str(data), seed=1))
    torch.manual_seed(0)
    size = {"encoder_layers": 2, "encoder_width": 32, "encoder_ffn_width": 64, "encoder_heads": 4}
    cfg = ConformerCtcConfig(_name="conformer_ctc", subsampling_channels=8, **size, **model)
    built = task.build_model(OmegaConf.structured(cfg)).eval()
    return task, built, AudioCtcCriterion(task)


def make_chat(data: Path, llm: Path, **model: object):
    task, built = tiny.make_chat(data, llm, **model)
    return task, built, ResponseDistillationCriterion(task)


@pytest.fixture(params=["ctc", "chat"])
def make(request: pytest.FixtureRequest, data_folder: Path, llm_path: Path):
    """Builds task, model and criterion, the same weights each time."""
    if request.param == "ctc":
        return lambda **model: make_ctc(data_folder, **model)
    return lambda **model: make_chat(data_folder, llm_path, **model)


def loss_and_gradients(task, model, criterion, training: bool = False):
    model.train(training)
    torch.manual_seed(3)
    loss, sample_size, _ = criterion(model, tiny.batch(task, "dev", [0, 1, 2, 3]))
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return loss.detach() / sample_size, gradients


def dtypes_of_products(model) -> dict[str, torch.dtype]:
    """What the linear layers give, by name, as soon as the model has run."""
    seen = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(
                lambda _module, _inputs, output, name=name: seen.update({name: output.dtype})
            )
    return seen


def test_the_encoder_computes_in_bfloat16_and_all_else_does_not(make):
    task, model, criterion = make(encoder_dtype="bfloat16")
    seen = dtypes_of_products(model)
    loss, gradients = loss_and_gradients(task, model, criterion)
    in_encoder = {name for name in seen if "adapter" in name or "llm" not in name != "head"}
    assert {seen[name] for name in in_encoder} == {torch.bfloat16}
    rest = set(seen) - in_encoder
    assert {seen[name] for name in rest} == {torch.float32}
    assert rest  # CTC's head; the LLM's layers, in --llm-dtype
    assert loss.dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}


def test_loss_and_gradients_are_near_those_in_float32(make):
    expected, expected_gradients = loss_and_gradients(*make())
    loss, gradients = loss_and_gradients(*make(encoder_dtype="bfloat16"))
    assert 0 < (loss - expected).abs() < NEAR * expected
    actual, expected = (
        torch.cat([grads[name].flatten() for name in expected_gradients])
        for grads in (gradients, expected_gradients)
    )
    assert torch.nn.functional.cosine_similarity(actual, expected, dim=0) > 1 - NEAR
    assert abs(actual.norm() / expected.norm() - 1) < NEAR


def test_computing_activations_again_changes_nothing(make):
    """The second run is in bfloat16 too, and dropout falls on the same elements."""
    results = [
        loss_and_gradients(*make(encoder_dtype="bfloat16", **again), training=True)
        for again in ({}, {"checkpoint_activations": True})
    ]
    (loss, gradients), (loss_again, gradients_again) = results
    assert torch.equal(loss, loss_again)
    for name, gradient in gradients.items():
        assert torch.equal(gradient, gradients_again[name]), name


def test_float32_leaves_an_outer_autocast_at_work():
    """fairseq's --amp is one."""
    product = torch.nn.Linear(4, 4)
    outer = torch.autocast("cpu", dtype=torch.bfloat16)
    with outer, computing_in(torch.float32, torch.device("cpu")):
        assert product(torch.ones(1, 4)).dtype == torch.bfloat16


def test_it_learns(make):
    task, model, criterion = make(encoder_dtype="bfloat16")
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        losses.append(loss_and_gradients(task, model, criterion)[0])
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_a_checkpoint_is_float32_and_goes_on_in_bfloat16(
    data_folder: Path, llm_path: Path, tmp_path: Path
):
    common = [data_folder, "--user-dir", USER_DIR, *CHAT, "--llm", llm_path, *TINY_ENCODER]
    options = [*OPTIMIZATION, "--max-update", 2, "--disable-validation", "--save-dir", tmp_path]
    dtype = ["--encoder-dtype", "bfloat16", "--checkpoint-activations"]
    fairseq_train(training_config(*common, *options, *dtype))
    checkpoint = tmp_path / "checkpoint_last.pt"
    state = torch.load(checkpoint, weights_only=True)
    moments = state["last_optimizer_state"]["state"].values()
    tensors = [*state["model"].values(), *(moment[name] for moment in moments for name in moment)]
    floats = [t for t in tensors if torch.is_tensor(t) and t.is_floating_point()]
    assert {t.dtype for t in floats} == {torch.float32}
    (model,), _, task = load_model_ensemble_and_task([str(checkpoint)])  # as for generation
    seen = dtypes_of_products(model.eval())
    task.load_dataset("dev")
    with torch.no_grad():
        model(**tiny.batch(task, "dev", [0, 1])["net_input"])
    assert seen["encoder.adapter.projection"] == torch.bfloat16
