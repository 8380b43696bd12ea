#!/usr/bin/env bash
# AudioChatLlama in miniature: every step of the paper, by the commands that you would type.
#
#     bash examples/mini/run.sh            # 12 minutes on 2 cores
#     bash examples/mini/run.sh --full     # 20 to 40 minutes
#     bash examples/mini/run.sh --smoke    # a few updates: does everything run?
#     bash examples/mini/run.sh --stage 9  # this stage again, and those behind it
#
# A stage whose result exists is skipped, so a run that was stopped goes on where it was. Needs an
# activated environment with fairseq-audiochat and its extras speech, plot and evaluate. Results:
# examples/mini/output/ (output/full/, output/smoke/).
set -euo pipefail
shopt -s inherit_errexit

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PREPARE=$HERE/../../data_prep
LLM=$HERE/llm
SEED=1
# More threads than free cores make everything slower; small models gain little from two.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# The sizes of a run. CTC_EARLY is the checkpoint of the worse cascade. MORE_CTC: how long the
# equal-compute control goes on with CTC while the end-to-end model is distilled beside it.
MODE=quick FROM=99 LOG_INTERVAL=10 SAMPLES=50
while (($#)); do
    case $1 in
        --full | --smoke) MODE=${1#--} ;;
        --stage) FROM=${2:?--stage needs a number}; shift ;;
        *) echo "usage: run.sh [--full | --smoke] [--stage N]" >&2; exit 2 ;;
    esac
    shift
done
case $MODE in
    quick) OUT=$HERE/output; PROMPTS=(--train 2500 --words 500)
        CTC_UPDATES=1100 CTC_EARLY=550 CHAT_UPDATES=700 MORE_CTC=950 ;;
    full) OUT=$HERE/output/full; PROMPTS=(--full --train 8000 --words 1500 --dev 320 --test 640)
        CTC_UPDATES=2000 CTC_EARLY=1000 CHAT_UPDATES=2000 MORE_CTC=2700 ;;
    smoke) OUT=$HERE/output/smoke LOG_INTERVAL=1
        PROMPTS=(--train 64 --words 100 --dev 12 --test 16 --dialogues 2)
        CTC_UPDATES=8 CTC_EARLY=4 CHAT_UPDATES=4 MORE_CTC=4 SAMPLES=2 ;;
esac
DATA=$OUT/data
CTC=$OUT/checkpoints/ctc/checkpoint_best.pt
CHAT=$OUT/checkpoints/chat/checkpoint_best.pt
mkdir -p "$OUT/logs" "$OUT/done" "$DATA"
USER_DIR=$(python -m fairseq_audiochat)

# Whether stage $1, called $2, has to run; the rest is what it makes.
begin() {
    NUMBER=$1 TITLE=$2; shift 2
    if ((NUMBER >= FROM)); then rm -rf "$OUT/done/$NUMBER" "$@"; fi
    if [[ -e $OUT/done/$NUMBER ]]; then printf '== %d. %s: done\n' "$NUMBER" "$TITLE"; return 1; fi
    printf '== %d. %s\n' "$NUMBER" "$TITLE"
    SECONDS=0
}

# The stage has come to its end.
end() {
    printf '   %d s\n' "$SECONDS"
    printf '%s\t%s\t%d\n' "$NUMBER" "$TITLE" "$SECONDS" >"$OUT/done/$NUMBER"
}

# Run a command and keep what it prints; show it if the command fails.
logged() {
    local log=$OUT/logs/$1.log; shift
    printf '+ %s\n' "$*" >"$log"
    "$@" >>"$log" 2>&1 &
    wait $! && return  # a shell that waits can be stopped
    tail -n 20 "$log" >&2
    printf 'run.sh: failed: %s (all of it: %s)\n' "$*" "$log" >&2
    ((BASHPID == $$)) || kill $$  # the other job need not go on
    exit 1
}

# Two jobs at a time, so that both cores work. Whoever stops leaves none behind.
stop() { kill $(jobs -p) 2>/dev/null || true; }
trap stop EXIT
start() { { trap stop EXIT; "$@"; } & JOBS+=($!); }
join() { local job; for job in "${JOBS[@]}"; do wait "$job"; done; JOBS=(); }
JOBS=()

# Speak the prompts of a file with the voices of a split.
speak() {
    logged "speak_$1" python "$PREPARE/synthesise_speech.py" "$OUT/prompts/$1.tsv" "$DATA/$1.tsv" \
        --voices "$HERE/config/voices_$2.txt" --snr 5 30 --seed $SEED
}

speak_others() { speak words train; speak dev dev; speak test test; speak dialogues test; }

# Train by a config of config/; further arguments override it.
train() {
    local name=$1 config=$2; shift 2
    logged "train_$name" fairseq-hydra-train --config-dir "$HERE/config" --config-name "$config" \
        common.user_dir="$USER_DIR" common.cpu=true common.seed=$SEED task.data="$DATA" \
        common.log_interval=$LOG_INTERVAL common.log_file="$OUT/logs/$name.json" \
        checkpoint.save_dir="$OUT/checkpoints/$name" hydra.run.dir="$OUT/logs/hydra_$name" "$@"
}

# A command of the evaluation, on a data folder's split test.
evaluate() {
    local name=$1 command=$2 data=$3; shift 3
    logged "evaluate_$name" python -m fairseq_audiochat.evaluate "$command" --llm "$LLM" \
        --test-set mini="$data/test.tsv" --end-to-end end-to-end="$CHAT" --batch-size 32 "$@"
}

# Let the LLM answer a split; a split that was answered is kept.
respond() {
    [[ ! -e $DATA/$1.responses.jsonl ]] || return 0
    logged "respond_$1" python "$PREPARE/generate_responses.py" "$DATA/$1.tsv" --llm "$LLM" \
        --batch-size 64
    sed "s|$OUT/||" <(tail -n 1 "$OUT/logs/respond_$1.log")
}

respond_others() { respond dev; respond test; }

measure_perplexity() {
    evaluate perplexity perplexity "$DATA" --output "$OUT/evaluation" "${CONTROLS[@]}" \
        --by wer --by seconds
}

measure_controls() {
    evaluate shuffled_perplexity perplexity "$OUT/shuffled" --output "$OUT/control"
    evaluate shuffled_answers answers "$OUT/shuffled" --output "$OUT/control" --max-length 40
    logged dialogue python "$HERE/dialogue.py" "$OUT" --llm "$LLM"
}

measure_answers() {
    evaluate answers answers "$DATA" --output "$OUT/evaluation" "${CONTROLS[@]}" --max-length 40
    logged rating_page python -m fairseq_audiochat.evaluate rating-page --output "$OUT/evaluation" \
        --test-set mini="$DATA/test.tsv" --samples "$SAMPLES" \
        --answers "$OUT/evaluation/answers/mini/end-to-end.jsonl" \
        --answers "$OUT/evaluation/answers/mini/cascade.jsonl"
    # Nobody has rated them: the right word in the answer stands in for people.
    logged ratings python -m fairseq_audiochat.evaluate ratings "$OUT/evaluation"
}

measure_others() {
    evaluate alignment alignment "$DATA" --output "$OUT/evaluation"
    evaluate robustness robustness "$DATA" --output "$OUT/evaluation" \
        --cascade cascade="$CTC" --distortion noise:10 --distortion noise:0 \
        --distortion speed:1.25 --distortion telephone
    logged text_ability python -m fairseq_audiochat.evaluate text-ability --llm "$LLM" \
        --end-to-end "$CHAT" --output "$OUT/evaluation"
}

# Whole before it starts, so that the script may be edited while it runs.
main() {
    if begin 1 "Write the prompts" "$OUT/prompts"; then
        logged prompts python "$HERE/write_prompts.py" --output-dir "$OUT/prompts" --seed $SEED \
            "${PROMPTS[@]}"
        end
    fi

    if begin 2 "Speak them" "$DATA"; then
        mkdir -p "$DATA"
        start speak train train
        start speak_others
        join
        # CTC also learns from lists of words: from sentences alone it learns their templates.
        { cat "$DATA/train.tsv"; tail -n +2 "$DATA/words.tsv"; } >"$DATA/pretrain.tsv"
        end
    fi

    if begin 3 "Train the CTC vocabulary" "$DATA/spm.model"; then
        logged vocabulary python "$PREPARE/train_vocabulary.py" "$DATA/pretrain.tsv" \
            --output "$DATA/spm.model" --size 140 --model-type bpe
        end
    fi

    if begin 4 "Let the LLM answer the transcripts" "$DATA"/*.responses.jsonl*; then
        start respond train
        start respond_others
        join
        end
    fi

    if begin 5 "Pre-train the encoder with CTC" "$OUT/checkpoints/ctc" "$OUT/logs/ctc.json"; then
        train ctc ctc optimization.max_update=$CTC_UPDATES \
            checkpoint.save_interval_updates=$CTC_EARLY
        end
    fi

    if begin 6 "Distil it into the LLM, and beside it go on with CTC" \
        "$OUT"/checkpoints/{chat,ctc_longer} "$OUT"/logs/{chat,ctc_longer}.json; then
        start train chat chat task.llm="$LLM" model.encoder_checkpoint="$CTC" \
            optimization.max_update=$CHAT_UPDATES
        start train ctc_longer ctc checkpoint.finetune_from_model="$CTC" \
            optimization.max_update=$MORE_CTC
        join
        end
    fi

    if begin 7 "Shuffle the recordings, as a control" "$OUT/shuffled"; then
        cp "$OUT/prompts/test.answers.jsonl" "$DATA/"
        logged shuffle python "$HERE/shuffle_recordings.py" "$DATA/test.tsv" \
            --output-dir "$OUT/shuffled" --seed $SEED
        end
    fi

    if begin 8 "Measure every arm" "$OUT"/{evaluation,control}; then
        local early=("$OUT"/checkpoints/ctc/checkpoint_*_"$CTC_EARLY".pt)
        CONTROLS=(--nothing --cascade cascade="$CTC" --cascade cascade-early="${early[0]}"
            --cascade cascade-longer="$OUT/checkpoints/ctc_longer/checkpoint_best.pt")
        start measure_perplexity
        start measure_controls
        join
        start measure_answers  # behind what the cascades recognised for the perplexity
        start measure_others
        join
        end
    fi

    if begin 9 "Report"; then
        logged pictures python "$HERE/pictures.py" "$OUT"
        end
        python "$HERE/report.py" "$OUT" --seed $SEED
    fi
}

main
