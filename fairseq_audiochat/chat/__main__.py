"""``python -m fairseq_audiochat.chat``: the program itself is in `fairseq_audiochat.terminal`."""

import sys

from fairseq_audiochat.terminal.program import main

if __name__ == "__main__":
    sys.exit(main())
