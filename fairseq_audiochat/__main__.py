"""``python -m fairseq_audiochat`` prints the folder that fairseq's ``--user-dir`` wants."""

from pathlib import Path

if __name__ == "__main__":
    print(Path(__file__).parent)
