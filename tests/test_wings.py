"""The house: a wing imports only from wings below it, and only what they hand on."""

from __future__ import annotations

import ast
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

# From the top down; what stands on one line knows nothing of each other.
FLOORS = [
    ["landmark_index", "landmark_search"],  # dags/
    ["landmark_ui"],
    ["landmark_web"],
    ["landmark_airflow", "landmark_metrics"],
    ["landmark.__main__"],
    ["landmark.cli"],
    ["landmark.evaluation", "landmark.export", "landmark.remote", "landmark.watching"],
    ["landmark.search"],
    ["landmark.index"],
    ["landmark.cluster"],
    ["landmark.storage"],
    ["landmark.extraction"],
    ["landmark.matching"],
    ["landmark.features"],
    ["landmark.settings", "landmark.progress"],
    ["landmark.errors"],
    ["landmark"],
]
FLOOR_OF = {wing: number for number, wings in enumerate(FLOORS) for wing in wings}
LONGEST_MODULE, LONGEST_CLASS = 350, 250


def modules() -> dict[str, ast.Module]:
    """Every module of dags/ and plugins/, by its name."""
    found = {}
    for folder in (REPOSITORY / "dags", REPOSITORY / "plugins"):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(file.read_text())
    return found


MODULES = modules()


def imported(tree: ast.Module) -> set[str]:
    """The modules of ours that one imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= below & MODULES.keys() or {node.module}
    return names & MODULES.keys()


def wing_of(module: str) -> str:
    """The part of the house that a module belongs to."""
    return max((wing for wing in FLOOR_OF if f"{module}.".startswith(f"{wing}.")), key=len)


def crossings() -> list[tuple[str, str]]:
    """Each import from one wing into another."""
    return [
        (module, other)
        for module, tree in MODULES.items()
        for other in sorted(imported(tree))
        if wing_of(module) != wing_of(other)
    ]


def test_every_module_has_its_place():
    assert {module for module in MODULES if wing_of(module) == "landmark"} == {"landmark"}


def test_a_wing_knows_nothing_of_higher_ones():
    upwards = [
        f"{module} imports {other}"
        for module, other in crossings()
        if FLOOR_OF[wing_of(other)] <= FLOOR_OF[wing_of(module)]
    ]
    assert upwards == []


def test_a_wing_hands_on_what_others_use_and_nothing_else():
    used: dict[str, set[str]] = {}
    for _, other in crossings():
        wing, _, room = other.rpartition(".")
        if wing in FLOOR_OF and wing != "landmark":
            used.setdefault(wing, set()).add(room)
    handed_on = {}
    for wing in used:
        for node in MODULES[wing].body:
            if isinstance(node, ast.Assign):
                handed_on[wing] = set(ast.literal_eval(node.value))
    assert handed_on == used


def test_a_wing_says_in_a_sentence_what_it_is():
    for wing in FLOOR_OF:
        if (REPOSITORY / "plugins" / wing.replace(".", "/")).is_dir():
            told = ast.get_docstring(MODULES[wing])
            assert told and told.count(". ") == 0 and told.endswith("."), wing


def test_no_module_and_no_class_is_a_house_of_its_own():
    for module, tree in MODULES.items():
        lines = max((node.end_lineno or 0 for node in tree.body), default=0)
        assert lines <= LONGEST_MODULE, module
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < LONGEST_CLASS, f"{module}.{node.name}"
