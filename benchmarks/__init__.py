"""All that measures; run from the repository's root, as ``python -m benchmarks.NAME``."""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "plugins"), str(_ROOT / "include")]
