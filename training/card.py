"""Write the model card: ``python -m training.card --run DIR --model DIR [--figures FILE …]``.

FILE is what ``python -m benchmarks.features evaluation DIR --json FILE`` wrote.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from training import cost
from training.data import ViewParameters
from training.network import CHANNELS, STRIDES
from training.trainer import RUN_FILE

TEMPLATE = Path(__file__).with_name("model_card.md")


def write_card(run: Path, model: Path, figures: list[Path]) -> None:
    """Write ``MODEL_CARD.md`` into a model's folder, and the run's history beside it.

    Parameters
    ----------
    run
        Training's ``--out``.
    model
        The exported model.
    figures
        JSON files of ``benchmarks.features evaluation``, one a labelled folder.
    """
    said = json.loads((run / RUN_FILE).read_text())
    rows = list(csv.DictReader((run / "history.csv").open(newline="")))
    counted = cost.measure(600, 800, features=1000)
    views = ViewParameters()
    card = TEMPLATE.read_text().format(
        name=model.name,
        strides=_listed(STRIDES),
        channels=_listed(CHANNELS),
        size=said["descriptor_size"],
        parameters=counted["parameters"],
        megabytes=sum(file.stat().st_size for file in model.rglob("*") if _is_model(file)) / 1e6,
        scales=_listed(counted["image_scales"]),
        gigaflops=counted["gigaflops"],
        delf_gigaflops=counted["delf_gigaflops"],
        ratio=counted["ratio"],
        teacher=said["teacher"].replace("alike", "ALIKE"),
        rotation_deg=views.rotation_deg,
        scale=views.scale,
        minutes=float(rows[-1]["seconds"]) / 60,
        figures="".join(_table(file) for file in figures),
        start=f"the weights of {said['start']}" if said["start"] else "random initialisation",
        places=_places(said),
        limits="Night and season only by the pairs of few places, drawings not at all."
        if said["places"]
        else "Night, season and drawings were not.",
        **{key: said[key] for key in ("photos", "seed", "steps", "batch", "side", "learning_rate")},
    )
    (model / "MODEL_CARD.md").write_text(card)
    for name in ("history.csv", "history.png"):
        (model / name).write_bytes((run / name).read_bytes())


def _places(said: dict[str, Any]) -> str:
    """What real pairs a run had, if it had any."""
    if not said["places"]:
        return ""
    return (
        f" In each step also {said['pair_batch']} real pairs: photographs of one place from other "
        f"viewpoints and hours, or of two places that look alike, mined as `training/README.md` "
        f"says; a third of the places was held out."
    )


def _is_model(file: Path) -> bool:
    return file.suffix == ".pb" or file.parent.name == "variables"


def _listed(values: Any) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _table(file: Path) -> str:
    """The figures of every kind of features, a line each."""
    kinds = json.loads(file.read_text())
    measured = kinds.pop("measured")
    first = next(iter(kinds.values()))
    scores = [name for name in ("easy", "medium", "hard", "map", "recall_at_1") if name in first]
    lines = [
        f"**Figures**, {file.stem}: {first['images']} images, {first['queries']} queries, longest "
        f"side 800 px, 1,000 features, this project's matching and verification; "
        f"{measured['date']}, commit {measured['commit']}.",
        "",
        f"| features | {' | '.join(scores)} | seconds an image |",
        "|---" * (len(scores) + 2) + "|",
    ]
    for kind, found in kinds.items():
        shown = " | ".join(f"{found[score]:.3f}" for score in scores)
        lines.append(f"| {kind} | {shown} | {found['extract_seconds_per_image']:.2f} |")
    return "\n".join(lines) + "\n\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="training.card", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="training's --out")
    parser.add_argument("--model", type=Path, required=True, help="folder of the SavedModel")
    parser.add_argument("--figures", type=Path, nargs="*", default=[], help="JSON files")
    arguments = parser.parse_args()
    write_card(arguments.run, arguments.model, arguments.figures)


if __name__ == "__main__":
    main()
