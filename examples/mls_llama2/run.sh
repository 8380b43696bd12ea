#!/usr/bin/env bash
# AudioChatLlama at the paper's size: Multilingual LibriSpeech (English) and Llama-2-7b-chat.
#
#     bash examples/mls_llama2/run.sh MLS_DIR LLM_DIR OUTPUT_DIR                 # the paper's GPUs
#     bash examples/mls_llama2/run.sh MLS_DIR LLM_DIR OUTPUT_DIR --gpus 8x80gb   # or 1x24gb
#     bash examples/mls_llama2/run.sh MLS_DIR LLM_DIR OUTPUT_DIR --layers 36     # default 18
#     bash examples/mls_llama2/run.sh MLS_DIR LLM_DIR OUTPUT_DIR --stage 6       # this stage again,
#                                                                  # and those behind it
#
# A stage whose result exists is skipped, and a training goes on at its last checkpoint, so a run that
# was stopped goes on where it was. --only N runs one stage, as a job of a cluster does.
#
# Further options, from the environment: SHARDS (parts of the training responses, default 1; a Slurm
# array makes them elsewhere), VOCABULARY (pieces, 1500), and words that are added to commands:
# PREPARE_OPTIONS, RESPONSE_OPTIONS, CTC_OPTIONS and CHAT_OPTIONS (Hydra overrides),
# MEASURE_OPTIONS (fairseq-validate and fairseq-generate), GENERATE_OPTIONS.
set -euo pipefail
shopt -s inherit_errexit

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PREPARE=$HERE/../../data_prep
USAGE="usage: run.sh MLS_DIR LLM_DIR OUTPUT_DIR [--layers 18|36] [--gpus 8x80gb|1x24gb] [--stage N] [--only N]"

DIRECTORIES=() LAYERS=18 GPUS='' FROM=99 ONLY=''
while (($#)); do
    case $1 in
        --layers) LAYERS=${2:?--layers needs a number}; shift ;;
        --gpus) GPUS=${2:?--gpus needs a name}; shift ;;
        --stage) FROM=${2:?--stage needs a number}; shift ;;
        --only) ONLY=${2:?--only needs a number}; shift ;;
        -*) echo "$USAGE" >&2; exit 2 ;;
        *) DIRECTORIES+=("$1") ;;
    esac
    shift
done
((${#DIRECTORIES[@]} == 3)) || { echo "$USAGE" >&2; exit 2; }
[[ -e $HERE/config/ctc_${LAYERS}l.yaml ]] || { echo "run.sh: --layers must be 18 or 36, but is $LAYERS" >&2; exit 2; }
[[ -z $GPUS || -e $HERE/config/gpus/chat_$GPUS.yaml ]] || { echo "run.sh: --gpus must be 8x80gb or 1x24gb, but is $GPUS" >&2; exit 2; }

MLS=$(realpath -- "${DIRECTORIES[0]}")
LLM=$(realpath -- "${DIRECTORIES[1]}")
OUT=$(realpath -m -- "${DIRECTORIES[2]}")
DATA=$OUT/data
CTC=$OUT/checkpoints/ctc_${LAYERS}l
CHAT=$OUT/checkpoints/chat_${LAYERS}l
mkdir -p "$OUT/logs" "$OUT/done"
USER_DIR=$(python -m fairseq_audiochat)
: "${SHARDS:=1}" "${VOCABULARY:=1500}"
read -ra PREPARE_WORDS <<<"${PREPARE_OPTIONS:-}"
read -ra RESPONSE_WORDS <<<"${RESPONSE_OPTIONS:---dtype bfloat16}"
read -ra CTC_WORDS <<<"${CTC_OPTIONS:-}"
read -ra CHAT_WORDS <<<"${CHAT_OPTIONS:-}"
read -ra MEASURE_WORDS <<<"${MEASURE_OPTIONS:---llm-dtype bfloat16 --batch-size 8}"
read -ra GENERATE_WORDS <<<"${GENERATE_OPTIONS:---max-len-b 200}"

# Whether stage $1, called $2, has to run; the rest is what it makes.
begin() {
    NUMBER=$1 TITLE=$2; shift 2
    STAMP=$OUT/done/${NUMBER}_${LAYERS}l
    case $NUMBER in 1 | 2 | 4) STAMP=$OUT/done/$NUMBER ;; esac  # the data serve both encoders
    [[ -z $ONLY || $NUMBER == "$ONLY" ]] || return 1
    if ((NUMBER >= FROM)); then rm -rf "$STAMP" "$@"; fi
    if [[ -e $STAMP ]]; then printf '== %d. %s: done\n' "$NUMBER" "$TITLE"; return 1; fi
    printf '== %d. %s\n' "$NUMBER" "$TITLE"
    SECONDS=0
}

# The stage has come to its end.
end() {
    printf '   %d s\n' "$SECONDS"
    printf '%s\t%s\t%d\n' "$NUMBER" "$TITLE" "$SECONDS" >"$STAMP"
}

# Run a command and keep what it prints, behind what it printed before; show its end if it fails.
logged() {
    local log=$OUT/logs/$1.log; shift
    printf '+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 && return
    tail -n 20 "$log" >&2
    printf 'run.sh: failed: %s (all of it: %s)\n' "$*" "$log" >&2
    exit 1
}

# Train by a config of config/, for the GPUs that were chosen; further arguments override it.
train() {
    local kind=$1 config=$2 save_dir=$3; shift 3
    logged "train_$(basename "$save_dir")" fairseq-hydra-train \
        --config-dir "$HERE/config" --config-name "$config" ${GPUS:+"+gpus=${kind}_$GPUS"} \
        common.user_dir="$USER_DIR" task.data="$DATA" checkpoint.save_dir="$save_dir" \
        common.log_file="$OUT/logs/$(basename "$save_dir").json" \
        hydra.run.dir="$OUT/logs/hydra_$(basename "$save_dir")" "$@"
}

respond() {
    logged "respond_$1" python "$PREPARE/generate_responses.py" "$DATA/$1.tsv" --llm "$LLM" \
        "${RESPONSE_WORDS[@]}" "${@:2}"
}

# The parts that are not there yet (an array of jobs may have made them), and all in one file.
respond_in_shards() {
    local shard
    for ((shard = 1; shard <= SHARDS; shard++)); do
        [[ -e $DATA/$1.responses.$shard-of-$SHARDS.jsonl ]] || respond "$1" --shard "$shard/$SHARDS"
    done
    logged "merge_$1" python "$PREPARE/merge_responses.py" "$DATA/$1.tsv"
}

# Perplexity of the LLM's own responses behind a kind of prompt.
validate() {
    logged "validate_$1_${LAYERS}l" fairseq-validate "$DATA" --user-dir "$USER_DIR" \
        --task audio_chat --llm "$LLM" --path "$CHAT/checkpoint_best.pt" --valid-subset test \
        --log-format json --prompt "$@" "${MEASURE_WORDS[@]}"
    printf '   %s: %s\n' "$1" "$(grep -o '"test_ppl": "[^"]*"' "$OUT/logs/validate_$1_${LAYERS}l.log" | tail -n 1)"
}

# Whole before it starts, so that the script may be edited while it runs.
main() {
    if begin 1 "Manifests" "$DATA"/{train,dev,test}.tsv; then
        logged manifests python "$PREPARE/prepare_mls.py" "$MLS" "$DATA" --splits train dev test \
            "${PREPARE_WORDS[@]}"
        end
    fi

    if begin 2 "Vocabulary" "$DATA/spm.model"; then
        logged vocabulary python "$PREPARE/train_vocabulary.py" "$DATA/train.tsv" \
            --output "$DATA/spm.model" --size "$VOCABULARY"
        end
    fi

    if begin 3 "CTC pre-training" "$CTC"; then
        train ctc "ctc_${LAYERS}l" "$CTC" "${CTC_WORDS[@]}"
        end
    fi

    if begin 4 "Responses" "$DATA"/*.responses.*; then
        for split in dev test; do
            [[ -e $DATA/$split.responses.jsonl ]] || respond "$split"
        done
        [[ -e $DATA/train.responses.jsonl ]] || respond_in_shards train
        end
    fi

    if begin 5 "Distillation" "$CHAT"; then
        train chat chat "$CHAT" task.llm="$LLM" \
            model.encoder_checkpoint="$CTC/checkpoint_best.pt" "${CHAT_WORDS[@]}"
        end
    fi

    if begin 6 "Perplexity of every arm"; then
        validate text
        validate audio
        validate cascade --asr-checkpoint "$CTC/checkpoint_best.pt"
        validate none
        end
    fi

    if begin 7 "Answers" "$OUT/logs/generate_${LAYERS}l.log"; then
        logged "generate_${LAYERS}l" fairseq-generate "$DATA" --user-dir "$USER_DIR" \
            --task audio_chat --llm "$LLM" --path "$CHAT/checkpoint_best.pt" --gen-subset test \
            --beam 10 "${GENERATE_WORDS[@]}" "${MEASURE_WORDS[@]}"
        end
    fi
}

main
