"""The page as visitors have it: the real command, and a real Chromium."""

import contextlib
import io
import socket
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import OPTIONS, find_chromium
from page_server import HttpVisitor, Server, Tab, served
from playwright.sync_api import Browser, BrowserContext, expect

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.page.visitor import content_of

pytestmark = pytest.mark.browser

TOKENS = 16
LIMITS = ("--max-new-tokens", TOKENS, "--max-audio-seconds", 3, "--max-upload-mb", 1)
VISITORS = 20
FAKE_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def server(
    checkpoints: dict[str, Path], llm_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One for all tests; afterwards, nothing of what visitors said is left."""
    folder = tmp_path_factory.mktemp("served")
    model = ("--path", checkpoints["chat"], "--llm", llm_path, "--device", "cpu")
    with served(*model, *LIMITS, "--kept-caches", 2, folder=folder) as running:
        [uploads] = folder.glob("fairseq_audiochat_page_*")
        assert uploads.stat().st_mode & 0o077 == 0  # nobody else's
        yield running
    assert not uploads.exists()


@pytest.fixture
def tab(browser: BrowserContext, server: Server) -> Tab:
    return Tab(browser, server)


def answers(chat: AudioChat, *questions: tuple[str, list[Path]]) -> list[str]:
    """What a dialogue in Python answers."""
    dialogue = chat.dialogue()
    asked = (content_of(text, [str(path) for path in paths]) for text, paths in questions)
    return [dialogue.respond(content, max_new_tokens=TOKENS) for content in asked]


def test_a_recording_is_answered_as_in_python(tab: Tab, chat: AudioChat, recordings: list[Path]):
    tab.ask("", recordings[0])
    tab.has_answers(*answers(chat, ("", recordings[:1])))
    expect(tab.players).to_have_count(1)
    assert tab.download(0) == recordings[0].read_bytes()
    seconds = soundfile.info(recordings[0]).duration
    expect(tab.players.locator(".timestamp")).to_have_text(f"0:{round(seconds):02}")
    expect(tab.picture).to_be_visible()
    assert tab.picture.evaluate("image => image.naturalWidth") > 300
    expect(tab.page.get_by_text(f"The last answer was cut after {TOKENS} tokens.")).to_be_visible()
    assert not [url for url in tab.requests if not url.startswith((tab.page.url, "data:", "blob:"))]


def test_a_dialogue_goes_on_until_it_begins_anew(tab: Tab, chat: AudioChat, recordings: list[Path]):
    questions = [("what is it", []), ("say it again please", recordings[1:3]), ("tell me more", [])]
    expected = answers(chat, *questions)
    for index, (text, paths) in enumerate(questions):
        tab.ask(text, *paths)
        tab.has_answers(*expected[: index + 1])
    expect(tab.players).to_have_count(2)
    tab.page.get_by_role("button", name="Begin anew").click()
    expect(tab.questions).to_have_count(0)
    expect(tab.picture).to_be_hidden()
    tab.ask("tell me more")
    [alone] = answers(chat, ("tell me more", []))
    assert alone != expected[2]
    tab.has_answers(alone)


def test_two_visitors_have_nothing_to_do_with_each_other(
    tab: Tab, chromium: Browser, server: Server, chat: AudioChat, recordings: list[Path]
):
    with contextlib.closing(chromium.new_context()) as other_profile:
        other = Tab(other_profile, server)
        tab.ask("", recordings[3])
        other.ask("name two colours")  # while the first one is waiting
        mine = answers(chat, ("", recordings[3:4]), ("what is it", []))
        theirs = answers(chat, ("name two colours", []), ("what is it", []))
        tab.has_answers(mine[0])
        other.has_answers(theirs[0])
        tab.ask("what is it")
        other.ask("what is it")
        tab.has_answers(*mine)
        other.has_answers(*theirs)


def test_what_cannot_be_answered_gets_a_sentence(
    tab: Tab, chat: AudioChat, recordings: list[Path], tmp_path: Path
):
    broken = {"text.wav": b"hello, world", "empty.wav": b"", "large.wav": bytes(2_000_000)}
    broken["cut.wav"] = recordings[0].read_bytes()[:9_000]
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    soundfile.write(tmp_path / "long.wav", np.zeros(4 * 16_000), 16_000)
    (tmp_path / "words.txt").write_text("hello")
    tab.ask("what is it")
    tab.has_answers(*answers(chat, ("what is it", [])))
    sentences = {
        "text.wav": "text.wav: the audio must be decodable, but: Format not recognised.",
        "empty.wav": "empty.wav: the audio must be decodable, but:",
        "cut.wav": "cut.wav: the audio must",
        "long.wav": "long.wav: a recording must have at most 3 seconds, but has 4;",
    }
    for name, sentence in sentences.items():
        tab.ask("tell me", recordings[0], tmp_path / name)
        assert sentence in (said := tab.read_sentence())
        assert "/" not in said
        expect(tab.box).to_have_value("tell me")  # to be sent again, without the recording
        tab.detach()
    tab.choose(tmp_path / "large.wav")
    assert "exceed the maximum allowed size of 1.0 Mb" in tab.read_sentence()
    tab.choose(tmp_path / "words.txt")
    assert "Only .wav, .flac, .ogg, .opus, .mp3 allowed" in tab.read_sentence()
    tab.ask("tell me more")
    tab.has_answers(*answers(chat, ("what is it", []), ("tell me more", [])))


def test_words_are_words(tab: Tab):
    """Neither HTML nor Markdown nor TeX; what is not there cannot be fetched."""
    words = (
        '<img src="http://127.0.0.1:9/a.png"> <script>document.title = "b"</script> '
        "![c](http://127.0.0.1:9/d.png) *e* $$f$$ &amp;"
    )
    tab.ask(words)
    expect(tab.answers).to_have_count(1)
    expect(tab.questions.first).to_have_text(words)
    assert tab.questions.locator("img, script, em, .katex").count() == 0
    assert not [url for url in tab.requests if ":9/" in url]


def test_a_question_is_spoken_into_the_microphone(
    chromium: Browser, server: Server, chat: AudioChat, tmp_path: Path
):
    """Chromium's fake device beeps."""
    launched = chromium.browser_type.launch(
        executable_path=find_chromium(), args=[*OPTIONS, *FAKE_MICROPHONE]
    )
    with contextlib.closing(launched) as listening:
        tab = Tab(listening.new_context(permissions=["microphone"]), server)
        tab.record()
        tab.box.press("Enter")
        expect(tab.answers).to_have_count(1)
        heard = tmp_path / "heard.wav"
        heard.write_bytes(tab.download(0))
        tab.has_answers(*answers(chat, ("", [heard])))
    samples, _ = soundfile.read(io.BytesIO(heard.read_bytes()))
    assert np.abs(samples).max() > 0.01


def test_an_upload_above_the_limit_is_refused_before_it_is_read(server: Server):
    with pytest.raises(urllib.error.HTTPError, match="413") as refusal:
        HttpVisitor(server).upload(bytes(2_000_000))
    assert refusal.value.read() == b"File size exceeded maximum allowed size of 1048576 bytes."


def test_twenty_visitors_at_once_get_their_own_answers(server: Server, chat: AudioChat):
    before = server.peak_megabytes()
    words = [f"say it {index} again" for index in range(VISITORS)]
    visitors = [HttpVisitor(server) for _ in words]
    with ThreadPoolExecutor(VISITORS) as threads:
        list(threads.map(lambda visitor, text: visitor.ask(text), visitors, words))
        shown = list(threads.map(lambda visitor: visitor.ask("tell me more"), visitors))
    for text, dialogue in zip(words, shown):
        first, second = answers(chat, (text, []), ("tell me more", []))
        expected = [text, first, "tell me more", second]
        assert list(map(str.split, dialogue)) == list(map(str.split, expected))  # no tabs
    assert len({dialogue[3] for dialogue in shown}) > VISITORS // 2
    assert server.peak_megabytes() - before < 200  # the model itself has more


def test_nobody_outside_this_machine_reaches_the_page(server: Server):
    """Had it been bound to every address, it would be at this one too."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=10)
