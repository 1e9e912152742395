"""A Ray cluster of several nodes on one machine, controlled by standard input.

    python -m tests.peers.ray_nodes

Prints the address. `node` kills a node that is not the head, `worker` kills a worker process.
"""

from __future__ import annotations

import sys

import psutil
import ray
from ray.cluster_utils import Cluster

NODES = 3


def main() -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    workers = [cluster.add_node(num_cpus=2) for _ in range(NODES - 1)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "node":
            cluster.remove_node(workers.pop(), allow_graceful=False)
            print("one node less", flush=True)
        else:
            victims = [p for p in psutil.process_iter(["cmdline"]) if _works(p)]
            for victim in victims[:1]:
                victim.kill()
            print(f"{len(victims[:1])} worker less", flush=True)
    ray.shutdown()
    cluster.shutdown()


def _works(process: psutil.Process) -> bool:
    """Whether a process is a worker that is answering."""
    return "ray::Worker.answer" in " ".join(process.info["cmdline"] or [])


if __name__ == "__main__":
    main()
