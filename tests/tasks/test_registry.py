"""fairseq finds our classes, and every option that a user can set is read somewhere."""

import re
from dataclasses import fields

import pytest
from command_line import USER_DIR
from fairseq import criterions
from fairseq.models import ARCH_MODEL_NAME_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import TASK_REGISTRY

from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmConfig, AudioPrefixLlmModel
from fairseq_audiochat.models.conformer_ctc import ConformerCtcConfig, ConformerCtcModel
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks.audio_chat import AudioChatTask
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask

CONFIGS = [AudioPrefixLlmConfig, ConformerCtcConfig, AudioChatConfig, AudioCtcConfig]
OF_FAIRSEQ = {"seed", "update_freq"}  # interpolated from its own groups, not options of ours


def test_registry_holds_our_classes():
    assert TASK_REGISTRY["audio_ctc"] is AudioCtcTask
    assert TASK_REGISTRY["audio_chat"] is AudioChatTask
    assert MODEL_REGISTRY["conformer_ctc"] is ConformerCtcModel
    assert MODEL_REGISTRY["audio_prefix_llm"] is AudioPrefixLlmModel
    for name in ("conformer_ctc_18l", "conformer_ctc_36l", "conformer_ctc_tiny"):
        assert ARCH_MODEL_NAME_REGISTRY[name] == "conformer_ctc"
    for name in ("audio_ctc", "response_distillation"):
        assert criterions.CRITERION_REGISTRY[name].__module__.startswith("fairseq_audiochat.")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_option_is_read_and_explained(config):
    source = "\n".join(path.read_text() for path in USER_DIR.rglob("*.py"))
    for item in fields(config):
        if item.name == "_name":
            continue
        assert re.search(rf"cfg\.{item.name}\b", source), item.name
        if item.name not in OF_FAIRSEQ:
            assert item.metadata["help"]


def test_defaults_are_the_papers():
    config = ConformerCtcConfig()
    assert (config.encoder_layers, config.encoder_width, config.encoder_ffn_width) == (
        18,
        512,
        2048,
    )
    assert (config.encoder_heads, config.encoder_kernel_size) == (8, 11)
    assert AudioPrefixLlmConfig().stack_frames == 1


def test_options_do_not_shadow_each_other_or_fairseqs():
    """Task and model share one namespace on the command line; so do fairseq's own groups."""
    task = {item.name for item in fields(AudioChatConfig)} - {"_name", "data", *OF_FAIRSEQ}
    model = {item.name for item in fields(AudioPrefixLlmConfig)} - {"_name"}
    assert not task & model
    from fairseq.dataclass.configs import FairseqConfig

    for group in fields(FairseqConfig):
        default = group.default_factory() if callable(group.default_factory) else group.default
        own = (
            {item.name for item in fields(default)}
            if hasattr(default, "_get_all_attributes")
            else set()
        )
        assert not (task | model) & own, group.name
