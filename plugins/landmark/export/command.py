"""A place, or the whole match graph, in a file for other tools.

    landmark export colmap PLACE FILE.db | hloc PLACE FOLDER | graphml FILE.graphml [--model MODEL]

PLACE is the number that the page Places shows. COLMAP and hloc find the photographs by their keys:
below a folder that their bucket was copied to.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from landmark.storage.database import Database
from landmark.storage.models import model_in_use


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is exported, and where to."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for kind, target, what in (
        ("colmap", "FILE", "COLMAP's database of a place"),
        ("hloc", "FOLDER", "hloc's features, matches and pairs of a place"),
        ("graphml", "FILE", "the match graph of all photographs"),
    ):
        one = kinds.add_parser(kind, help=what, description=f"Write {what}.")
        if kind == "graphml":
            one.add_argument("--model", metavar="MODEL", help="default: the one searches use")
        else:
            one.add_argument("place", type=int, metavar="PLACE", help="its number")
        one.add_argument("target", type=Path, metavar=target)


def run(database: Database, options: argparse.Namespace) -> None:
    """Export as told."""
    # Only now: each takes libraries that the other commands do without.
    if options.kind == "graphml":
        from landmark.export.graphml import export_graphml

        export_graphml(database, options.model or model_in_use(database), options.target)
        return
    from landmark.export.scene import read_scene

    scene = read_scene(database, options.place)
    if options.kind == "colmap":
        from landmark.export.colmap import export_colmap

        export_colmap(scene, options.target)
    else:
        from landmark.export.hloc import export_hloc

        export_hloc(scene, options.target)
    print(f"{len(scene.names)} photographs, {len(scene.edges)} pairs: {options.target}")
