"""The model card: what the folder is, which LLM it belongs to, how to use it.

Knows only the description; what a program cannot know is left to whoever publishes.
"""

import json

from fairseq_audiochat.export.description import Description

_HEAD = """\
---
library_name: fairseq
tags: [speech, audio, fairseq-audiochat]{license}
---
# {title}

{what}

| | |
|---|---|
{table}

The files: `model.safetensors` (the weights), `config.json` (what they are){vocabulary}.
Nothing in them is code, and reading them runs none.

## How to use it

Install fairseq-audiochat, {program} or later, and give this folder wherever a checkpoint is asked
for:

```bash
USER_DIR=$(python -m fairseq_audiochat)
{commands}
```

{advice}

## To be filled in

Before you publish: the speech and the transcripts that it was trained on, and their languages; what
it is good for and what it is not; results, with the commands that gave them.

## License

{terms}
"""

_CHAT = """\
An audio encoder and a projection that let a frozen chat LLM understand speech (the method of
AudioChatLlama, arXiv 2311.06753). The LLM is not in here: these weights belong to **{llm}** and
to no other LLM. Another one is refused."""
_CHAT_COMMANDS = """\
fairseq-generate data --user-dir "$USER_DIR" --task audio_chat --llm /path/to/{llm} \\
    --llm-dtype {dtype} --path THIS_FOLDER --gen-subset test --batch-size 8 \\
    --beam 10 --max-len-b 200"""
_CHAT_ADVICE = """\
`data` is a folder with a manifest `test.tsv` and the LLM's responses to its transcripts. To train
on from these weights, make a checkpoint of them, and give it to `fairseq-train` with
`--finetune-from-model checkpoint.pt`:

```bash
python -m fairseq_audiochat.export --back THIS_FOLDER checkpoint.pt
```"""
_CTC = """\
A conformer with a CTC head, which recognises speech: the encoder that AudioChatLlama (arXiv
2311.06753) starts from, with its vocabulary of word pieces."""
_CTC_COMMANDS = """\
# a chat model that starts from this encoder
fairseq-train data --user-dir "$USER_DIR" --task audio_chat --encoder-checkpoint THIS_FOLDER ...
# the cascade: the LLM reads what this model recognises
fairseq-validate data --user-dir "$USER_DIR" --task audio_chat --prompt cascade \\
    --asr-checkpoint THIS_FOLDER ..."""
_CTC_ADVICE = (
    "The dots stand for the options of your own training, as in fairseq-audiochat's README."
)
_CHAT_TERMS = """

The license of {llm} covers the LLM, which is not in here; see there what it says of models that are
trained with the LLM's answers."""


def model_card(description: Description, license_name: str | None) -> str:
    """The text of ``README.md``.

    Args:
        description: What ``config.json`` says.
        license_name: Under which the weights are published; None if nobody has said it yet.
    """
    chat = description.llm is not None
    llm = description.llm["name"] if description.llm is not None else ""
    terms = license_name or "Not stated yet: fill it in before you publish."
    return _HEAD.format(
        # JSON is YAML: whatever the text holds, it stays one
        license=f"\nlicense: {json.dumps(license_name)}" if license_name else "",
        title=f"Speech for {llm}" if chat else "A CTC speech recogniser",
        what=_CHAT.format(llm=llm) if chat else _CTC,
        table="\n".join(f"| {name} | {value} |" for name, value in _rows(description)),
        vocabulary="" if chat else ", `spm.model` (the vocabulary)",
        program=description.program,
        commands=(
            _CHAT_COMMANDS.format(llm=llm, dtype=description.task["llm_dtype"])
            if chat
            else _CTC_COMMANDS
        ),
        advice=_CHAT_ADVICE if chat else _CTC_ADVICE,
        terms=terms + (_CHAT_TERMS.format(llm=llm) if chat else ""),
    )


def _rows(description: Description) -> list[tuple[str, str]]:
    """What a reader wants to know of the weights."""
    model, weights = description.model, description.weights
    rows = [
        ("Architecture", f"`{description.architecture}`"),
        (
            "Encoder",
            f"{model['encoder_layers']} conformer layers of width {model['encoder_width']}",
        ),
        ("Parameters", f"{weights['parameters']:,}"),
        (
            "Stored as",
            f"{weights['dtype']}{', averaged over the updates' if weights['ema'] else ''}",
        ),
        ("Updates", f"{description.origin['updates']:,}"),
    ]
    if description.llm is not None:
        stack = model["stack_frames"]
        rows += [
            (
                "One embedding",
                f"{stack} encoder frame{'s' * (stack > 1)}: {80 * stack} ms of speech",
            ),
            ("LLM", description.llm["name"]),
            ("Chat template", f"`{description.llm['chat_template']}`"),
            ("The LLM's embeddings", f"SHA-256 `{description.llm['fingerprint']['embedding']}`"),
        ]
    return [*rows, ("Checkpoint", f"SHA-256 `{description.origin['checkpoint_sha256']}`")]
