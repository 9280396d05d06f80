"""A Ray cluster on this machine, for one job: the program that starts it and takes it down again.

It is run as a process of its own, so that workers inherit an environment without keys, and so that they end when
whoever started it ends, however that came: its standard input is closed then. Everything is bound to loopback.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys


def main() -> None:
    """Start by what the first line of input says, print the address, and wait until the input ends."""
    asked = json.loads(sys.stdin.readline())
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=asked["cpus"],
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=asked["object_store_bytes"],
            _temp_dir=asked["folder"],
            _node_ip_address="127.0.0.1",
        )
        sys.stdout.write(f"{json.dumps({'address': ray.get_runtime_context().gcs_address})}\n")
        sys.stdout.flush()
        while sys.stdin.read(1):
            pass
    finally:
        ray.shutdown()
        shutil.rmtree(asked["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
