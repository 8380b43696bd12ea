"""The page itself: what is on it, and where."""

from typing import Any

from fairseq_audiochat.page.gradio_library import gradio
from fairseq_audiochat.page.reception import Reception, Shown

_AUDIO_FILES = [".wav", ".flac", ".ogg", ".opus", ".mp3"]
_WAITING = 64  # questions in the queue; more are turned away with a sentence
_HOUR = 3_600
_LONGEST_TEXT = 20_000  # characters


def make_page(reception: Reception, title: str, limits: str) -> Any:
    """A page on which visitors talk to a model, each in a dialogue of their own.

    One question is answered at a time; the others wait in a queue. A dialogue is forgotten an hour
    after the last question, its recordings within another hour.

    Args:
        reception: Answers visitors.
        title: Of the page.
        limits: Of recordings, in words.

    Returns:
        Gradio's ``Blocks``, ready to be launched.
    """
    gr = gradio()
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(_HOUR, _HOUR)) as page:
        gr.Markdown(
            f"## {title}\nSpeak, upload recordings, or write; mix them as you like. "
            f"In one question, recordings come before the text. Recordings have {limits}."
        )
        history = gr.Chatbot(
            label="Dialogue",
            height=420,
            buttons=[],  # a copied message would be HTML, see `history_of`
            render_markdown=False,  # pictures in answers would be fetched from afar
            latex_delimiters=[],
        )
        message = gr.MultimodalTextbox(
            sources=["upload", "microphone"],
            file_types=_AUDIO_FILES,
            file_count="multiple",
            max_plain_text_length=_LONGEST_TEXT,
            placeholder="Write a question, or attach a recording",
            show_label=False,
            autofocus=True,
        )
        with gr.Row():
            reset = gr.Button("Begin anew", size="sm", scale=0, min_width=120)
            note = gr.Markdown(visible=False)
        picture = gr.Image(
            label="What the LLM hears in the last recording",
            show_label=False,
            format="png",
            buttons=["download", "fullscreen"],
            interactive=False,
            visible=False,
        )
        visitor = gr.State(None, time_to_live=_HOUR)
        asked = gr.State(None, time_to_live=_HOUR)
        shown = list(Shown(message, history, note, picture, visitor))
        taken = message.submit(
            reception.take, message, [message, asked], api_visibility="private", queue=False
        )
        sent = taken.then(
            reception.send,
            [asked, visitor],
            shown,
            api_visibility="private",
            show_progress="minimal",
            trigger_mode="multiple",  # the next question may come before the picture is drawn
        )
        gr.on(
            [reset.click, history.clear],
            reception.reset,
            outputs=shown,
            cancels=[sent],
            api_visibility="private",
        )
    return page.queue(max_size=_WAITING, default_concurrency_limit=1)
