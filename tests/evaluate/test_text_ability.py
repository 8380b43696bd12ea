"""The LLM within a model is the bare one, and a single changed weight is found out."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from command_line import CHAT, OPTIMIZATION, TINY_ENCODER, USER_DIR, training_config
from fairseq_cli.train import main as fairseq_train
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.arms import Systems
from fairseq_audiochat.evaluate.text_ability import comparison as text_comparison
from fairseq_audiochat.evaluate.text_ability.bare_llm import digest_weights, load_bare_llm
from fairseq_audiochat.models.prompt_encoder import PromptEncoder


def evaluate(llm: Path, checkpoint: Path, output: Path, *more) -> int:
    words = ["text-ability", "--llm", llm, "--end-to-end", checkpoint, "--output", output, *more]
    return main([str(word) for word in words])


def comparisons(output: Path) -> list[dict]:
    return json.loads((output / "text_ability.json").read_text())["comparisons"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_differs(llm_path, checkpoints, tmp_path, capsys, dtype):
    assert evaluate(llm_path, checkpoints["chat"], tmp_path, "--llm-dtype", dtype) == 0
    printed = capsys.readouterr().out
    assert "Nothing differs: every logit and every weight is the same, bit by bit." in printed
    assert (tmp_path / "text_ability.md").read_text() + "\n" == printed
    found = comparisons(tmp_path)
    assert len(found) == 8  # seven texts, and the weights
    assert all((one["before"], one["after"]) == ("identical", "identical") for one in found)
    assert json.loads((tmp_path / "run.json").read_text())["text_ability"]["arm"]["updates"] == 1


def change_one_weight(llm: LlamaForCausalLM) -> None:
    """The smallest change that there is, of the most lasting kind."""
    with torch.inference_mode():
        weight = llm.model.layers[0].mlp.up_proj.weight
        weight.data[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))


def test_one_changed_weight_is_found(llm_path, checkpoints, tmp_path, capsys, monkeypatch):
    open_model = Systems.open_model

    def changed(self, arm):
        model = open_model(self, arm)
        change_one_weight(model.decoder.llm.causal_lm)
        return model

    monkeypatch.setattr(Systems, "open_model", changed)
    assert evaluate(llm_path, checkpoints["chat"], tmp_path) == 1
    assert "WARNING: the LLM within the model is not the bare LLM." in capsys.readouterr().out
    *texts, weights = comparisons(tmp_path)
    assert weights["before"].startswith("differ, digest ")
    assert weights["before"] == weights["after"]
    assert any(one["before"].startswith("differ, behind the last token by up to ") for one in texts)


def test_a_weight_that_audio_changes_is_found(llm_path, checkpoints, tmp_path, monkeypatch, capsys):
    embed_audio, open_model, opened = PromptEncoder.embed_audio, Systems.open_model, []

    def keep(self, arm):
        opened.append(open_model(self, arm))
        return opened[-1]

    def harmful(self, *args):
        change_one_weight(opened[-1].decoder.llm.causal_lm)
        return embed_audio(self, *args)

    monkeypatch.setattr(Systems, "open_model", keep)
    monkeypatch.setattr(PromptEncoder, "embed_audio", harmful)
    assert evaluate(llm_path, checkpoints["chat"], tmp_path) == 1
    *texts, weights = comparisons(tmp_path)
    assert all(one["before"] == "identical" for one in (*texts, weights))
    assert weights["after"].startswith("differ, digest ")
    assert any(one["after"].startswith("differ, behind the last token") for one in texts)


def test_texts_of_ones_own(llm_path, checkpoints, tmp_path):
    (tmp_path / "texts.txt").write_text("what is it\n\nname two | colours\n")
    output = tmp_path / "out"
    assert evaluate(llm_path, checkpoints["chat"], output, "--texts", tmp_path / "texts.txt") == 0
    found = comparisons(output)
    assert [one["what"] for one in found] == ["what is it", "name two | colours", "(all weights)"]
    assert "name two \\| colours" in (output / "text_ability.md").read_text()


def test_report_needs_the_records_alone(llm_path, checkpoints, tmp_path):
    assert evaluate(llm_path, checkpoints["chat"], tmp_path) == 0
    table = (tmp_path / "text_ability.md").read_bytes()
    (tmp_path / "text_ability.md").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "text_ability.md").read_bytes() == table


def refused(capsys, *words) -> str:
    assert evaluate(*words) == 2
    error = capsys.readouterr().err
    return error[error.index("error: ") :]


def test_mistakes_end_in_one_sentence(llm_path, checkpoints, tmp_path, capsys):
    words = (llm_path, checkpoints["chat"], tmp_path / "out", "--texts", tmp_path / "texts.txt")
    assert "texts.txt" in refused(capsys, *words)  # there is none
    (tmp_path / "texts.txt").write_text("\n \n")
    assert "texts.txt: --texts must have a text in some line, but has none." in refused(
        capsys, *words
    )
    (tmp_path / "texts.txt").write_text("what " * 200)
    long = refused(capsys, *words)
    assert "the prompt of a text must fit into the LLM's 256 positions, but has " in long
    other = refused(capsys, llm_path, checkpoints["ctc"], tmp_path / "out")
    assert "must be one of audio_chat" in other


def test_the_bare_llm_has_nothing_of_ours(llm_path):
    llm = load_bare_llm(llm_path, torch.float32)
    assert type(llm) is LlamaForCausalLM
    assert llm.config._attn_implementation == "sdpa"
    assert not llm.training


def write_meta_format(folder: Path) -> Path:
    """A random Llama-2 as Meta publishes it, in one shard."""
    folder.mkdir()
    size = Llama2Chat(tiny.make_llm_tokenizer(folder / "tokenizer.model")).vocabulary_size
    shapes = {"tok_embeddings": (size, 32), "norm": (32,), "output": (size, 32)}
    layer = {f"attention.{name}": (32, 32) for name in ("wq", "wk", "wv", "wo")}
    layer |= {"feed_forward.w1": (48, 32), "feed_forward.w2": (32, 48), "feed_forward.w3": (48, 32)}
    layer |= {"attention_norm": (32,), "ffn_norm": (32,)}
    shapes |= {f"layers.0.{name}": shape for name, shape in layer.items()}
    generator = torch.Generator().manual_seed(0)
    weights = {f"{k}.weight": torch.randn(v, generator=generator) for k, v in shapes.items()}
    torch.save(weights, folder / "consolidated.00.pth")
    sizes = {"dim": 32, "n_heads": 4, "n_layers": 1, "norm_eps": 1e-5}
    (folder / "params.json").write_text(json.dumps(sizes))
    return folder


def test_metas_format_says_what_is_compared(tmp_path, capsys):
    llm = write_meta_format(tmp_path / "llm")
    data = tiny.make_data(tmp_path / "data", llm, train=4, dev=2)
    command = [data, "--user-dir", USER_DIR, *OPTIMIZATION, *TINY_ENCODER, *CHAT]
    command += ["--llm", llm, "--max-update", 1, "--valid-subset", "dev", "--disable-validation"]
    command += ["--num-workers", 0, "--save-dir", tmp_path / "chat"]
    fairseq_train(training_config(*command))
    capsys.readouterr()
    assert evaluate(llm, tmp_path / "chat/checkpoint_last.pt", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "Nothing differs" in printed
    assert "transformers cannot read Meta's files, so its weights were read by this" in printed


def test_digests_see_names_bits_and_buffers(llm_path):
    first, second = (AutoModelForCausalLM.from_pretrained(llm_path) for _ in range(2))
    assert digest_weights(first) == digest_weights(second)
    second.model.rotary_emb.inv_freq[0] *= 2  # a buffer that no checkpoint holds
    assert digest_weights(first) != digest_weights(second)
    zero = first.model.norm.weight.data
    zero[0] = 0.0
    positive = digest_weights(first)
    zero[0] = -0.0
    assert digest_weights(first) != positive


def test_noise_reaches_the_llm(llm_path, checkpoints, data_folder, monkeypatch):
    """What is compared after audio was compared after audio."""
    task, model = tiny.make_chat(data_folder, llm_path)
    systems = Systems(llm_path, "float32", "none", torch.device("cpu"))
    heard = []
    handle = model.decoder.llm.causal_lm.model.register_forward_pre_hook(
        lambda module, args, kwargs: heard.append(kwargs["inputs_embeds"].size(1)),
        with_kwargs=True,
    )
    text_comparison.hear_noise(systems, model)
    handle.remove()
    assert sum(heard) == len(task.template.prompt(text_comparison.Conversation.of_audio())) - 1 + 38
