"""The command: a search, the tables, the models, the descriptions, exports, a measurement.

    landmark search PHOTO… | migrate | models COMMAND | describe | export KIND | evaluate DIR

Installed by make as `.venv/bin/landmark`; also ``python -m landmark``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

import psycopg

from landmark.errors import LandmarkError
from landmark.evaluation import command as evaluation
from landmark.evaluation.figures import add_json_option
from landmark.export import command as export
from landmark.index.describe import describe_table
from landmark.index.registry import remove_model, use_model
from landmark.remote import command as remote
from landmark.storage.database import Database
from landmark.storage.models import known_model, known_models, model_in_use

# What a command does with the tables.
Command = Callable[[Database, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    options = _parser().parse_args(arguments)
    if "database" not in options:  # it works on no tables of ours
        return int(options.run(options))
    if options.database is None:
        print(
            "name the database by --database postgresql://…, or set DATABASE_URL", file=sys.stderr
        )
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    database = Database(options.database)
    try:
        if applied := database.migrate():
            print("applied: " + ", ".join(applied))
        options.run(database, options)
    except LandmarkError as error:
        print(error, file=sys.stderr)
        return 1
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        print(f"the database does not answer ({reason}); check its address", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="landmark", description="Search for photographs, and look after their index."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    search = commands.add_parser(
        "search",
        help="find the other photographs of the same place, by a running Airflow",
        description=remote.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    remote.add_arguments(search)
    search.set_defaults(run=remote.run)
    _add(commands, "migrate", "create the tables, or bring them up to date", _migrate)
    models = commands.add_parser(
        "models", help="list the models, choose the one that searches use, remove one"
    ).add_subparsers(metavar="COMMAND", required=True)
    _add(models, "list", "the models that the table knows, and which one searches use", _list)
    use = _add(models, "use", "let searches use a model from now on", _use)
    use.add_argument("model", metavar="MODEL", help="as `landmark models list` names it")
    remove = _add(
        models,
        "remove",
        "delete all that the table has of a model that searches do not use",
        _remove,
        "In small steps beside searches and sweeps; killed, it goes on when it is run again.",
    )
    remove.add_argument("model", metavar="MODEL", help="as `landmark models list` names it")
    remove.add_argument("--dry-run", action="store_true", help="only say what would go")
    describe = _add(
        commands,
        "describe",
        "give every image what puts it on a shortlist",
        _describe,
        "As landmark_index does every night; killed, it goes on when it is run again.",
    )
    describe.add_argument(
        "model", metavar="MODEL", nargs="?", help="default: the model that searches use"
    )
    describe.add_argument(
        "--measure",
        action="store_true",
        help="measure anew what descriptions are made by, then describe every image",
    )
    exported = _add(
        commands, "export", "write a place, or the match graph, for other tools", export.run
    )
    export.add_arguments(exported)
    evaluate = commands.add_parser(
        "evaluate",
        help="how well a model ranks a labelled folder",
        description=evaluation.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluation.add_arguments(evaluate)
    add_json_option(evaluate)
    evaluate.set_defaults(run=evaluation.run)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    run: Command,
    more: str = "",
) -> argparse.ArgumentParser:
    """A command that works on the tables."""
    said = f"{what[0].upper()}{what[1:]}."
    parser = commands.add_parser(name, help=what, description=f"{said} {more}".strip())
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get("DATABASE_URL"),
        help="postgresql://…; default: the environment's DATABASE_URL",
    )
    parser.set_defaults(run=run)
    return parser


def _migrate(database: Database, options: argparse.Namespace) -> None:
    print("the tables are up to date")


def _list(database: Database, options: argparse.Namespace) -> None:
    for one in known_models(database):
        newest = f"{one.newest:%Y-%m-%d %H:%M}" if one.newest else "never"
        used = "searches use it" if one.searched else ""
        print(f"{one.model}\t{one.images} images\tlast {newest}\t{used}".rstrip())


def _use(database: Database, options: argparse.Namespace) -> None:
    use_model(database, options.model)


def _remove(database: Database, options: argparse.Namespace) -> None:
    remove_model(database, options.model, options.dry_run)


def _describe(database: Database, options: argparse.Namespace) -> None:
    model = options.model or model_in_use(database)
    describe_table(database, known_model(database, model).model, options.measure)
