#!/bin/bash
#SBATCH --job-name=shenhe
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#
# A Ray cluster over the nodes of a Slurm job, and a run on it. Photos, checkpoint and output lie
# where all nodes see them. The same command again goes on from where a job ended.
#
#   sbatch examples/slurm.sh --model /nfs/merged --data-root /nfs/photos --output-dir /nfs/out
set -euo pipefail

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address="$head:${RAY_PORT:-6379}"

# Whoever can reach a cluster can run code on it: it asks for a token, which lies in the home folder.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null

on() { srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" "${@:2}"; }
# In the background, so that killing the job kills what runs there.
keep_on() { exec srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" "${@:2}"; }

keep_on "$head" ray start --head --port="${address##*:}" --disable-usage-stats --block &
until on "$head" ray status --address="$address" > /dev/null 2>&1; do sleep 2; done
for node in "${nodes[@]:1}"; do
    keep_on "$node" ray start --address="$address" --disable-usage-stats --block &
done

code=0
on "$head" shenhe run --engine ray --ray-address "$address" "$@" || code=$?
kill $(jobs -p) 2> /dev/null || true
wait || true
exit "$code"
