#!/usr/bin/env bash
# Masks for a large folder, as an array of independent jobs: each takes every n-th image, and writes masks and a report of its own.
#
#   sbatch --array=0-15 examples/slurm_array.sh RUN IMAGES MASKS
#
# A job that was killed can be started again: images that are done are skipped. Add #SBATCH lines for your cluster's partition.
#SBATCH --job-name=promisam-predict
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
set -euo pipefail
if [ "$#" -lt 3 ]; then
    echo "usage: sbatch --array=0-N $0 RUN IMAGES MASKS [options of promisam predict]" >&2
    exit 2
fi
run=$1 images=$2 masks=$3
shift 3
first=${SLURM_ARRAY_TASK_MIN:-0}
shard=$((${SLURM_ARRAY_TASK_ID:-0} - first))/${SLURM_ARRAY_TASK_COUNT:-1}
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
exec "${PYTHON:-python3}" -m promisam predict "$run" "$images" -o "$masks" --shard "$shard" --offline "$@"
