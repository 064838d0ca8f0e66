"""Break a stack of its own in the middle of its work, and say what it has lost.

    python -m benchmarks.faults [CASE …] [--state DIR] [--json FILE]
    python -m benchmarks.faults --list

CASE is a part of a case's name, such as ``index`` or ``Postgres``; all cases take an hour or so.
"Disk full" needs root, as it mounts a small file system. LANDMARK_MODEL names the model, else it is
the bundled one; a model of TensorFlow's is what a worker holds.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import Bench
from benchmarks.faults.cases import CASES, Undisturbed, checked, run_case, undisturbed
from benchmarks.faults.evidence import WRONG_SWEEPS, run_wrong_sweep
from benchmarks.faults.opening import open_bench
from benchmarks.faults.sharing import SHARING
from benchmarks.faults.together import run_together
from landmark.evaluation.figures import figures_parser, print_figures

RunCase = Callable[[Bench, Undisturbed], dict[str, Any]]
#: By name, in the order that they run.
ALL_CASES: dict[str, RunCase] = {
    **{name: partial(run_case, case=case) for name, case in CASES.items()},
    **{
        f"index: {name}": partial(run_wrong_sweep, case=case) for name, case in WRONG_SWEEPS.items()
    },
    **SHARING,
    "two sweeps and five searches at once": run_together,
}
TITLES = ("case", "recovered", "tries", "triggered again", "seconds", "different", "left over")


def measure(names: list[str], folder: Path) -> dict[str, Any]:
    """Run the cases of these names; what each has lost."""
    found: dict[str, Any] = {}
    with open_bench(folder) as bench:
        before = undisturbed(bench)
        print("\t".join(TITLES), flush=True)
        for name in names:
            try:
                case = checked(bench, partial(ALL_CASES[name], bench, before))
            except Exception as error:
                traceback.print_exc()
                case = {"error": f"{type(error).__name__}: {error}"}
            case["recovered"] = (
                case.get("state") == "success" and not case["different"] and not case["left over"]
            )
            found[name] = case
            print("\t".join([name, *(str(case.get(title)) for title in TITLES[1:])]), flush=True)
            if "error" in case:
                print(case["error"], flush=True)
    return {
        "images": len(before.table),
        "files of a result": len(before.result),
        "recovered": sum(case["recovered"] for case in found.values()),
        "of": len(found),
        "cases": found,
    }


def main() -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.faults", __doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", default=[""])
    parser.add_argument("--state", type=Path, metavar="DIR", help="the stack's folder")
    parser.add_argument("--list", action="store_true", help="name the cases")
    options = parser.parse_args()
    names = [name for name in ALL_CASES if any(word in name for word in options.cases)]
    if options.list:
        print("\n".join(names))
        return 0
    with tempfile.TemporaryDirectory(prefix="landmark-faults-") as scratch:
        Path(scratch).chmod(0o711)
        folder = options.state or Path(scratch, "stack")
        return print_figures(lambda: measure(names, folder), options.json)


if __name__ == "__main__":
    sys.exit(main())
