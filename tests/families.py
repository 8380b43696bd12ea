"""Tiny LLMs of other families than Llama-2, with tokenizers and chat templates of their kinds.

The tokenizers are trained here, in the pipelines of the genuine ``tokenizer.json`` files. The
templates are the genuine ones; of those with tools, what a conversation without tools reaches.
"""

import json
from pathlib import Path
from typing import Any

import sentencepiece
import tiny
import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.convert_slow_tokenizer import generate_merges

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")

LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim "
    "+ '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA32 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""  # noqa: E501
QWEN25 = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""  # noqa: E501
QWEN3 = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""  # noqa: E501
MISTRAL1 = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != "
    "(loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate "
    "user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token + ' ' }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
MISTRAL3 = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
"""
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation"
    " roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + "
    "system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)

LLAMA3_SYMBOLS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>"]
LLAMA3_SYMBOLS += ["<|end_header_id|>", "<|eot_id|>"]
QWEN_SYMBOLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CORPUS = [" ".join(tiny.WORDS), "what is it? “no”, été 2024", "user\n\nassistant\n\nsystem\n"]


class Family:
    """A family of LLMs.

    Args:
        template: Its chat template.
        end: What ends an answer.
        bos: What begins a sequence.
        byte_level: Symbols and splitting of a byte-level BPE; None is SentencePiece's.
        control: Further control symbols of a SentencePiece tokenizer.
        config: Of the model.
        settings: Of the model's configuration.
    """

    def __init__(
        self,
        template: str,
        end: str,
        bos: str | None,
        byte_level: tuple[list[str], str] | None,
        control: tuple[str, ...] = (),
        config: type[PretrainedConfig] = LlamaConfig,
        **settings: Any,
    ) -> None:
        self.template, self.end, self.bos = template, end, bos
        self.byte_level, self.control = byte_level, control
        self.config, self.settings = config, settings


LLAMA31_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES = {
    "llama-3": Family(LLAMA3, "<|eot_id|>", "<|begin_of_text|>", (LLAMA3_SYMBOLS, LLAMA3_SPLIT)),
    "llama-3.2": Family(
        LLAMA32,
        "<|eot_id|>",
        "<|begin_of_text|>",
        (LLAMA3_SYMBOLS, LLAMA3_SPLIT),
        rope_parameters=LLAMA31_ROPE,
        tie_word_embeddings=True,
    ),
    "mistral-0.1": Family(MISTRAL1, "</s>", "<s>", None, config=MistralConfig, sliding_window=40),
    "mistral-0.3": Family(
        MISTRAL3,
        "</s>",
        "<s>",
        None,
        ("[INST]", "[/INST]"),
        config=MistralConfig,
        sliding_window=None,
    ),
    "qwen-2.5": Family(QWEN25, "<|im_end|>", None, (QWEN_SYMBOLS, QWEN_SPLIT), config=Qwen2Config),
    "qwen-3": Family(
        QWEN3,
        "<|im_end|>",
        None,
        ([*QWEN_SYMBOLS, "<think>", "</think>"], QWEN_SPLIT),
        config=Qwen3Config,
        head_dim=16,
        tie_word_embeddings=True,
    ),
}


CLASSES = {  # as the releases name them
    LlamaConfig: "PreTrainedTokenizerFast",
    MistralConfig: "LlamaTokenizer",
    Qwen2Config: "Qwen2Tokenizer",
    Qwen3Config: "Qwen2Tokenizer",
}


def make_family_tokenizer(folder: Path, name: str) -> Path:
    """``tokenizer.json`` and ``tokenizer_config.json`` as a family's release has them."""
    folder.mkdir(parents=True, exist_ok=True)
    family = FAMILIES[name]
    tokenizer = _byte_level(family) if family.byte_level else _metaspace(family, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(token): {"content": symbol.content, "special": symbol.special, "normalized": False}
        for token, symbol in tokenizer.get_added_tokens_decoder().items()
    }
    config = {
        "tokenizer_class": CLASSES[family.config],
        "added_tokens_decoder": added,
        "add_bos_token": family.byte_level is None,
        "bos_token": family.bos,
        "eos_token": family.end,
        "chat_template": family.template,
        "model_max_length": 1_000_000,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def make_family(folder: Path, name: str, seed: int = 0, **overrides: Any) -> Path:
    """A random LLM of a family, in several files, with its tokenizer beside it."""
    from transformers import AutoModelForCausalLM

    make_family_tokenizer(folder, name)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = {
        "vocab_size": tokenizer.get_vocab_size() + 3,  # as if padded to a round number
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": tokenizer.token_to_id(FAMILIES[name].end),
        "initializer_range": 0.3,  # large: predictions that depend on what was read
        **FAMILIES[name].settings,
        **overrides,
    }
    torch.manual_seed(seed)
    llm = AutoModelForCausalLM.from_config(FAMILIES[name].config(**settings))
    llm.save_pretrained(folder, max_shard_size="60KB")
    return folder


def _byte_level(family: Family) -> Tokenizer:
    """Llama-3's and Qwen's pipelines; Qwen's normalises to NFC."""
    assert family.byte_level is not None
    symbols, split = family.byte_level
    tokenizer = Tokenizer(models.BPE(ignore_merges=family.bos is not None))
    if family.bos is None:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 20, trainer)
    # Thinking is no control symbol in Qwen3: decoding keeps it.
    tokenizer.add_tokens(
        [AddedToken(s, normalized=False, special="think" not in s) for s in symbols]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if family.bos is not None:
        bos = (family.bos, tokenizer.token_to_id(family.bos))
        tokenizer.post_processor = processors.Sequence(
            [
                tokenizer.post_processor,
                processors.TemplateProcessing(single=f"{family.bos} $A", special_tokens=[bos]),
            ]
        )
    return tokenizer


def _metaspace(family: Family, folder: Path) -> Tokenizer:
    """SentencePiece as its conversions write it.

    The older one begins every stretch between symbols with a blank, the newer one only the first.
    """
    path = tiny.make_llm_tokenizer(
        folder / "tokenizer.model", 345, control_symbols=list(family.control)
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    scores = {pieces.id_to_piece(i): pieces.get_score(i) for i in range(len(pieces))}
    vocabulary = {piece: token for token, piece in enumerate(scores)}
    merges = generate_merges(vocabulary, scores, {"<unk>", "<s>", "</s>", *family.control})
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if family.control:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    symbols = ["<unk>", "<s>", "</s>", *family.control]
    tokenizer.add_special_tokens([AddedToken(s, normalized=False) for s in symbols])
    return tokenizer
