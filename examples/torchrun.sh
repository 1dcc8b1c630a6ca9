#!/usr/bin/env bash
# Training in several processes of one machine: one for each GPU, or several on its CPUs.
#
#   examples/torchrun.sh 4 promise2d DATASET -o RUN --set epochs=100
#
# Each process takes `batch` samples of every step, so that N processes do what one does with N times the batch. Interrupted (Ctrl-C,
# SIGTERM) all leave after the same step; --resume goes on.
set -euo pipefail
if [ "$#" -lt 3 ]; then
    echo "usage: $0 PROCESSES METHOD DATASET -o RUN [options of promisam fit]" >&2
    exit 2
fi
processes=$1
shift
exec "${PYTHON:-python3}" -m torch.distributed.run --standalone --nproc-per-node "$processes" -m promisam fit "$@"
