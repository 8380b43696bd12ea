"""Distortions as ``run.json`` and folders name them. Applies none."""

import hashlib
import re
from dataclasses import fields
from typing import Any

from fairseq_audiochat.data.distortion.distortion import Distortion
from fairseq_audiochat.data.distortion.effect import Effect
from fairseq_audiochat.data.distortion.sound_files import SoundFiles
from fairseq_audiochat.evaluate.run_record import digest


def describe(distortion: Distortion) -> dict[str, Any]:
    """A distortion for ``run.json``: all that its samples depend on."""
    return {
        "seed": distortion.seed,
        "effects": [_describe_effect(effect) for effect in distortion.effects],
    }


def _describe_effect(effect: Effect) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": effect.kind}
    for field in fields(effect):  # type: ignore[arg-type]  # all effects are dataclasses
        value = getattr(effect, field.name)
        described[field.name] = _describe_sounds(value) if isinstance(value, SoundFiles) else value
    return described


def _describe_sounds(sounds: SoundFiles) -> dict[str, Any]:
    """A file by its content, a folder by the names and sizes in it: MUSAN has 11 GB."""
    if sounds.path.is_file():
        return {"files": 1, "sha256": digest(sounds.path)}
    listing = "".join(
        f"{path.relative_to(sounds.path).as_posix()}\t{path.stat().st_size}\n"
        for path in sounds.files
    )
    sha256 = hashlib.sha256(listing.encode()).hexdigest()
    return {"files": len(sounds.files), "names_and_sizes_sha256": sha256}


def folder_name(name: str) -> str:
    """A distortion's name as a folder's: as it is, or without slashes and with a digest."""
    if re.fullmatch(r"[\w.:+-]+", name):
        return name
    readable = re.sub(r"[^\w.:+-]+", "_", name)[-60:]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def snr_db(described: dict[str, Any]) -> float | None:
    """The SNR of a distortion that is nothing but noise; None for others."""
    effects = described["effects"]
    return effects[0]["snr_db"] if [effect["kind"] for effect in effects] == ["noise"] else None
