"""What processes keep of the memory that they free."""

import os
import subprocess
import sys

import pytest

ALLOCATE = """
import resource, sys
import numpy as np
from landmark.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(1_000_000, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1_000_000, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_what_is_freed_is_used_again():
    def faults(how):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MALLOC_TRIM_THRESHOLD_": "65536",  # as Dask sets it for its workers
        }
        command = [sys.executable, "-c", ALLOCATE, how]
        return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    assert faults("give back") > 20 * 4_000_000 / 2**21  # at least one for each huge page
    assert faults("keep") < 10
