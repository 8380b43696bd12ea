"""``python -m fairseq_audiochat.page``: talk to a trained model in the browser.

Starts and stops the server. Knows nothing of what is on the page.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from fairseq_audiochat.page.options import decoding_of, is_loopback, parse_arguments
from fairseq_audiochat.program import exit_code

_STYLE = """
button[title="Share"] {display: none}  /* it would send recordings to a public web site */
.message.component, .message.component * {white-space: normal !important}  /* a player, no text */
"""
_FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}  # the browser has them


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until it is stopped; gives the program's exit code."""
    return exit_code(lambda: run(parse_arguments(arguments)), unsaid=logging.INFO)


def run(args: argparse.Namespace) -> None:
    """Serve the page from a folder of its own."""
    with _folder_for_uploads():
        serve(args)


def serve(args: argparse.Namespace) -> None:
    """Load the model and serve the page."""
    from fairseq_audiochat.chat.audio_chat import AudioChat
    from fairseq_audiochat.evaluate.figure import pyplot
    from fairseq_audiochat.page.blocks import make_page
    from fairseq_audiochat.page.gradio_library import gradio
    from fairseq_audiochat.page.reception import Reception

    gr = gradio()
    pyplot()
    chat = AudioChat.from_checkpoint(
        args.path,
        llm=args.llm,
        dtype=args.dtype,
        quantisation=args.quantisation,
        device=args.device,
        max_audio_seconds=args.max_audio_seconds,
    )
    limits = f"at most {args.max_audio_seconds:g} seconds and {args.max_upload_mb} MB each"
    reception = Reception(chat, decoding_of(args), args.kept_caches)
    page = make_page(reception, args.title, limits)
    _launch(page, args, gr.themes.Default(primary_hue="blue", **_FONTS))
    print(f"{args.title}: {page.local_url} (Ctrl-C stops it)", flush=True)
    if not is_loopback(args.host):
        print("Everybody who can reach this address can use the page: it has no password.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.close(verbose=False)


def _launch(page: Any, args: argparse.Namespace, theme: Any) -> None:
    """Serve in threads. What Gradio would do beyond a page of one's own machine is off."""
    page.launch(
        server_name=args.host,
        server_port=args.port,
        max_file_size=f"{args.max_upload_mb}mb",
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme,
        css=_STYLE,
        footer_links=[],
        run_history=False,
    )


@contextlib.contextmanager
def _folder_for_uploads() -> Iterator[None]:
    """What visitors say is in a folder that nobody else on this machine can read.

    It is removed when the page is stopped. Gradio reads the variables when it is imported.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # nobody is told of a visit
    with tempfile.TemporaryDirectory(
        prefix="fairseq_audiochat_page_", ignore_cleanup_errors=True
    ) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield


if __name__ == "__main__":
    sys.exit(main())
