#!/usr/bin/env bash
# Stage-A with the options of older pipelines:
#   scripts/stage_a_infer.sh --model M --data_root DIR --mission NAME --output_dir OUT [--batch_size N]
set -euo pipefail
exec shenhe summarize "$@"
