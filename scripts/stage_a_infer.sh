#!/usr/bin/env bash
# Stage-A, called as older pipelines call it: with options,
#   scripts/stage_a_infer.sh --model M --data_root DIR --mission NAME --output_dir OUT [--batch_size N]
# or with variables, before the command or behind it, as older launchers take them:
#   checkpoint=M input_dir=DIR output_dir=OUT mission=NAME gpu=0 batch_size=16 bash scripts/stage_a_infer.sh
#   bash scripts/stage_a_infer.sh checkpoint=M input_dir=DIR output_dir=OUT mission=NAME cuda=0 --dry_run
# An option wins over a variable behind the command, and that over one of the environment, of which
# the lower-case spelling wins. All other options of `shenhe summarize` are passed on.
set -euo pipefail

NAMES="checkpoint model model_path adapters adapter input_dir data_root data_dir output_dir mission
    batch_size batch_size_per_rank max_new_tokens max_pixels temperature top_p sample_seed seed limit exclude dtype attn_impl
    rep_penalty repetition_penalty gpu gpus cuda device pass_group_number fail_group_number debug
    dataset no_mission prompt_profile add_gt_fail_reason postprocess
    verify_inputs log_level sharding_mode keep_intermediate_outputs conda_env"
UPPER="CHECKPOINT MODEL MODEL_PATH ADAPTERS INPUT_DIR DATA_ROOT DATA_DIR OUTPUT_DIR MISSION BATCH_SIZE
    MAX_NEW_TOKENS TEMPERATURE TOP_P SEED GPU GPUS"

fail() {
    echo "stage_a_infer.sh: $1" >&2
    exit 2
}

# The option that a variable stands for. "refused": it asks for work that is not done here, "told": it
# is said that it does nothing, "": it changes nothing.
option_of() {
    case $1 in
        checkpoint | model | model_path) echo model ;;
        adapters | adapter) echo adapters ;;
        input_dir | data_root | data_dir) echo data-root ;;
        gpu | gpus | cuda | device) echo gpu ;;
        seed | sample_seed) echo seed ;;
        rep_penalty | repetition_penalty) echo repetition-penalty ;;
        batch_size | batch_size_per_rank) echo batch-size ;;
        dataset | no_mission | prompt_profile) echo told ;;
        add_gt_fail_reason | postprocess) echo refused ;;
        verify_inputs | log_level | sharding_mode | keep_intermediate_outputs | conda_env) echo "" ;;
        *) echo "${1//_/-}" ;;
    esac
}

# Values by option lie in variables of their own: value_data_root. A value of this round is not
# replaced by another of the same round: which one is meant?
round=0
take() { # NAME VALUE
    local option variable of_round
    option=$(option_of "$1")
    [[ -n $2 && -n $option ]] || return 0
    if [[ $option == refused ]]; then
        [[ $2 == false ]] || fail "$1=$2 is not done here: leave it out"
        return 0
    fi
    if [[ $option == told ]]; then
        [[ $2 == false ]] || echo "stage_a_infer.sh: warning: $1 does nothing here" >&2
        return 0
    fi
    variable=value_${option//-/_} of_round=round_${option//-/_}
    if [[ ${!of_round:-} == "$round" && ${!variable} != "$2" ]]; then
        fail "$1=$2 and ${!variable} stand for one thing: give one of them"
    fi
    printf -v "$variable" %s "$2"
    printf -v "$of_round" %s "$round"
}

lower() { echo "$1" | tr '[:upper:]' '[:lower:]'; }

for name in $UPPER; do take "$(lower "$name")" "${!name:-}"; done
round=1
for name in $NAMES; do take "$name" "${!name:-}"; done
round=2
while [[ ${1:-} == [A-Za-z]*=* ]]; do
    name=$(lower "${1%%=*}")
    [[ " $(echo $NAMES) " == *" $name "* ]] || fail "unknown variable ${1%%=*}; known: $(echo $NAMES)"
    take "$name" "${1#*=}"
    shift
done

given=" "
for word in "$@"; do
    word=${word%%=*}
    [[ $word != --* ]] || given="$given${word//_/-} "
done
is_given() { [[ $given == *" --$1 "* ]]; }

arguments=()
add() { # OPTION VALUE, unless the command line has the option
    [[ -z $2 ]] || is_given "$1" || arguments+=("--$1" "$2")
}
# Older launchers take the mission's own folder for the one above it, too.
root=${value_data_root:-} mission=${value_mission:-}
root=${root%/}
if [[ -n $mission && $root == */"$mission" ]]; then
    value_data_root=${root%/*}
fi
missing=""
for option in model data-root mission output-dir; do
    variable=value_${option//-/_}
    add "$option" "${!variable:-}"
    [[ -n ${!variable:-} ]] || is_given "$option" || missing="$missing --$option"
done
[[ -z $missing ]] || is_given help || [[ " $* " == *" -h "* ]] ||
    fail "missing:$missing (or variables: checkpoint=, input_dir=, mission=, output_dir=)"
for option in adapters batch-size max-new-tokens max-pixels temperature top-p seed limit exclude dtype attn-impl \
    repetition-penalty; do
    variable=value_${option//-/_}
    add "$option" "${!variable:-}"
done

passed=${value_pass_group_number:-} failed=${value_fail_group_number:-}
if [[ -n $passed$failed ]] && ! is_given sample; then
    [[ $passed =~ ^[0-9]+$ && $failed =~ ^[0-9]+$ ]] ||
        fail "pass_group_number and fail_group_number are two whole numbers, or neither is given"
    add sample "$((10#$passed + 10#$failed))"
    add sample-failed "$((10#$failed))"
fi
[[ ${value_debug:-false} == false ]] || arguments+=(--debug)

gpu=${value_gpu:-}
gpu=${gpu#cuda:}
if [[ $gpu == cpu ]]; then
    add device cpu
elif [[ -n $gpu && $gpu != cuda ]]; then
    [[ $gpu =~ ^[0-9]+(,[0-9]+)*$ ]] || fail "gpu=$gpu is no number of a GPU, or numbers joined by commas"
    if [[ $gpu == *,* ]]; then
        is_given device || add devices "$gpu"
    else
        is_given device || is_given devices || export CUDA_VISIBLE_DEVICES=$gpu
    fi
fi
exec shenhe summarize ${arguments[@]+"${arguments[@]}"} "$@"
