"""Packaging: what fairseq_audiochat needs, in ranges; constraints.txt pins what is tested."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """The package's version, without importing it (which needs everything below)."""
    source = (ROOT / "fairseq_audiochat" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if match is None:
        raise RuntimeError("fairseq_audiochat/__init__.py must set __version__, but does not.")
    return match[1]


setup(
    name="fairseq-audiochat",
    version=version(),
    description="AudioChatLlama (arXiv 2311.06753) as a fairseq extension",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The fairseq-audiochat authors",
    license="MIT",
    packages=find_packages(include=["fairseq_audiochat", "fairseq_audiochat.*"]),
    package_data={"fairseq_audiochat.evaluate.rating": ["*.html"]},
    python_requires=">=3.11,<3.13",  # fairseq-fixed has wheels for 3.12, and builds on 3.11
    install_requires=[
        "torch>=2.11,<2.12",
        "torchaudio>=2.11,<2.12",  # of the same release as torch; 2.11 is the last one
        "fairseq-fixed>=0.12.3.1,<0.13",
        "omegaconf>=2.3,<2.4",
        "transformers>=5.17,<6",
        "sentencepiece>=0.2,<0.3",
        "safetensors>=0.5",
        "jinja2>=3.1.6",  # chat templates
        "numpy>=2",
        "soundfile>=0.12",  # its libsndfile reads Opus and MP3
        "pyarrow>=16",
        "jiwer>=4,<5",
        "editdistance>=0.8",  # fairseq-generate --scoring wer
        "tqdm",
    ],
    extras_require={
        "speech": ["espeakng-loader>=0.2.4", "num2words>=0.5.14", "ijson>=3.3"],  # spoken texts
        "plot": ["matplotlib>=3.8"],  # the pictures of the examples, and of report_responses.py
        "evaluate": ["scipy>=1.11", "statsmodels>=0.14.5", "matplotlib>=3.8"],
        "microphone": ["sounddevice>=0.5"],  # :record in the terminal; needs the library PortAudio
        "demo": ["gradio>=6,<7", "matplotlib>=3.8"],  # the page in the browser
        "quantisation": ["torchao>=0.18,<0.19"],  # --llm-quantisation
        "endpoint": ["openai>=2,<4"],  # data_prep/generate_responses.py --endpoint
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "protobuf",
            "pyyaml",
            "ruff",
            "mypy",
            "playwright>=1.50",  # pages, in a Chromium that is there
            "openai>=2,<4",
            "torchao>=0.18,<0.19",
            "transformers[serving]",  # a real server for the tests of --endpoint
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
