#!/usr/bin/env bash
# Dialogues with the miniature's model: appendix A's four capabilities, and what context is worth.
#
#     bash examples/dialogue/run.sh            # after examples/mini/run.sh --full
#     bash examples/dialogue/run.sh --quick    # after examples/mini/run.sh
#
# A stage whose result exists is skipped. Needs the extras speech and evaluate. Results:
# examples/dialogue/output/ (output/quick/).
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MINI=$HERE/../mini
PREPARE=$HERE/../../data_prep
RUN=$MINI/output/full OUT=$HERE/output
case ${1:-} in
    "") ;;
    --quick) RUN=$MINI/output OUT=$HERE/output/quick ;;
    *) echo "usage: run.sh [--quick]" >&2; exit 2 ;;
esac
CHECKPOINTS=${AUDIOCHAT_CHECKPOINTS:-$RUN/checkpoints}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PYTHONPATH=$MINI${PYTHONPATH:+:$PYTHONPATH}
if [[ ! -e $CHECKPOINTS/chat/checkpoint_best.pt ]]; then
    echo "run.sh: $CHECKPOINTS must hold the demo's checkpoints; run examples/mini/run.sh first" >&2
    exit 1
fi
mkdir -p "$OUT"

# Speak a table with the miniature's test voices, which its models have not heard.
speak() {
    python "$PREPARE/synthesise_speech.py" "$1" "$2" --voices "$MINI/config/voices_test.txt" \
        --snr 5 30 --seed 1
}

if [[ ! -e $OUT/dialogues.tsv ]]; then
    echo "== 1. Speak the dialogues"
    speak "$HERE/dialogues.tsv" "$OUT/dialogues.tsv"
fi
if [[ ! -e $OUT/capabilities.txt ]]; then
    echo "== 2. Hold them"
    python "$HERE/hold.py" --path "$CHECKPOINTS/chat/checkpoint_best.pt" --llm "$MINI/llm" \
        --speech "$OUT/dialogues.tsv" >"$OUT/capabilities.txt.tmp"
    mv "$OUT/capabilities.txt.tmp" "$OUT/capabilities.txt"
fi
cat "$OUT/capabilities.txt"
if [[ ! -e $OUT/two_turns.tsv ]]; then
    echo "== 3. Speak every held-out dialogue of two turns"
    python "$MINI/write_prompts.py" --output-dir "$OUT/prompts" --train 1 --dev 1 --test 1 \
        --words 1 --dialogues 1000
    speak "$OUT/prompts/dialogues.tsv" "$OUT/two_turns.tsv"
fi
if [[ ! -e $OUT/context.md ]]; then
    echo "== 4. Measure what the first turn is worth"
    python "$HERE/context.py" --llm "$MINI/llm" \
        --end-to-end "$CHECKPOINTS/chat/checkpoint_best.pt" \
        --cascade "the CTC it starts from=$CHECKPOINTS/ctc/checkpoint_best.pt" \
        --cascade "CTC goes on=$CHECKPOINTS/ctc_longer/checkpoint_best.pt" \
        --questions "$OUT/prompts/dialogues.tsv" --speech "$OUT/two_turns.tsv" \
        --output "$OUT/context.json" >"$OUT/context.md.tmp"
    mv "$OUT/context.md.tmp" "$OUT/context.md"
fi
cat "$OUT/context.md"
