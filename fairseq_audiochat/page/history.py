"""A dialogue's messages, as Gradio's chatbot shows them. Knows no model.

The chatbot takes a text for HTML, also where it is told not to render Markdown: an ``<img>`` in an
answer would be fetched from wherever it is. So texts are escaped, and read as they are.
"""

import html
from collections.abc import Iterable, Mapping
from typing import Any


def history_of(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A bubble for each part: a text, or a player of a recording."""
    return [
        {"role": message["role"], "content": bubble}
        for message in messages
        for bubble in _bubbles(message["content"])
    ]


def _bubbles(content: Any) -> Iterable[Any]:
    if isinstance(content, str):
        return [html.escape(content)]
    return [
        {"path": part["audio"]} if part["type"] == "audio" else html.escape(part["text"])
        for part in content
    ]
