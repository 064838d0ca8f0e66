"""What workers keep of the memory that they free."""

import os
import platform
import subprocess
import sys

import pytest

# In a thread, as Dask's tasks are.
ALLOCATE = """
import resource, sys, threading
import numpy as np
from landmark.cluster.workers import keep_freed_memory

def allocate():
    if sys.argv[1] == "keep":
        keep_freed_memory()
    np.ones(1_000_000, np.float32)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(20):
        np.ones(1_000_000, np.float32)
    print(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

thread = threading.Thread(target=allocate)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_what_is_freed_is_used_again():
    def faults(how):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MALLOC_TRIM_THRESHOLD_": "65536",  # as Dask sets it for its workers
        }
        command = [sys.executable, "-c", ALLOCATE, how]
        ran = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60
        )
        return int(ran.stdout)

    assert faults("give back") > 20 * 4_000_000 / 2**21  # at least one for each huge page
    assert faults("keep") < 10
