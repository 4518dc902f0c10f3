#!/bin/bash
# Runs a recipe on the nodes of a Slurm job, by a Ray cluster that lives as long as the job:
#
#     sbatch examples/cluster/slurm.sh RECIPE RUN
#
# RUN is a folder on storage that all nodes share. A job that is requeued or submitted again continues its run.
#SBATCH --job-name=poolwright
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

recipe=${1:?name a recipe: sbatch slurm.sh RECIPE RUN}
run=${2:?name a run folder on shared storage: sbatch slurm.sh RECIPE RUN}
port=${RAY_PORT:-6379}
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN # whoever else can reach the nodes cannot run code on them
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
options=(--num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block)

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
step=(srun --nodes=1 --ntasks=1 --overlap)
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

host=$("${step[@]}" --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}')
"${step[@]}" --nodelist="${nodes[0]}" ray start --head --node-ip-address="$host" --port="$port" \
    --include-dashboard=false "${options[@]}" &
until ray status --address "$host:$port" > /dev/null 2>&1; do
    kill -0 $! || exit 1
    sleep 1
done
for node in "${nodes[@]:1}"; do
    "${step[@]}" --nodelist="$node" ray start --address="$host:$port" "${options[@]}" &
done

poolwright run "$recipe" --run "$run" --engine ray --address "$host:$port"
