"""Whether an audio file is whole: libsndfile plays a truncated wav or ogg without a word.

FLAC and MP3 need no look here: reading them fails, or falls short of the header's promise.
Knows containers (RIFF, Ogg), not what is coded in them.
"""

import struct

_UNKNOWN_SIZE = 0x7FFF_F000
"""Programs that write a wav to a pipe put sizes from here on: they cannot know them."""

_OGG_PAGE = b"OggS\x00"  # capture pattern and version
_OGG_HEADER_BYTES = 27
_OGG_LAST_PAGE = 0x04


def check_whole(content: bytes, name: str) -> None:
    """Refuse a wav that is shorter than its data chunk and an ogg without its last page.

    Args:
        content: The file; other formats pass.
        name: What to call it in errors.

    Raises:
        ValueError: If its end is missing.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        missing = _missing_wav_bytes(content)
        if missing > 0:
            raise ValueError(
                f"{name}: the audio must have all bytes that its header promises, but lacks "
                f"{missing}; the file is truncated, fetch it again."
            )
    if content.startswith(_OGG_PAGE) and not _ends_with_last_page(content):
        raise ValueError(
            f"{name}: an ogg or opus file must end with its last page, but does not; the file is "
            "truncated, fetch it again."
        )


def _missing_wav_bytes(content: bytes) -> int:
    position = 12
    while position + 8 <= len(content):
        chunk, size = struct.unpack_from("<4sI", content, position)
        position += 8
        if chunk == b"data":
            return 0 if size >= _UNKNOWN_SIZE else position + size - len(content)
        position += size + size % 2  # chunks begin at even bytes
    return 0  # no data chunk: libsndfile says so better


def _ends_with_last_page(content: bytes) -> bool:
    start = content.rfind(_OGG_PAGE)
    if start + _OGG_HEADER_BYTES > len(content):
        return False
    flags, segments = content[start + 5], content[start + 26]
    lengths = content[start + _OGG_HEADER_BYTES : start + _OGG_HEADER_BYTES + segments]
    end = start + _OGG_HEADER_BYTES + segments + sum(lengths)
    return bool(flags & _OGG_LAST_PAGE) and end <= len(content)
