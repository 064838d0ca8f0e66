"""A site with something on each of its pages: an index, places, watches, corrections, searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any
from urllib.parse import quote

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from landmark.features import LocalFeatures
from landmark.index.places import update_places
from landmark.matching.chance import ChanceHistogram
from landmark.matching.ranking import Match, Step
from landmark.search.drawing import draw_contact_sheet
from landmark.search.result import CONTACT_SHEET, SearchResult, write_query, write_result
from landmark.search.searches import Searches
from landmark.search.single import Search
from landmark.storage.bucket import read_etag
from landmark.storage.corrections import say, take_back
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import mark_searched
from landmark.storage.places import name_place, places_of_paths
from landmark.watching.watches import start, tell_watches

MODEL = "model-1"
CHANCE = ChanceHistogram((99_000, *(1 + round(500 * 0.5**n) for n in range(9))))
FOLDER, QUERY = "results/{}/", ("extract_query", "return_value")
ANSWER, CANCELLED = ("rank_matches", "return_value"), ("extract_query", "cancelled")
PROGRESS = ("rank_matches", "progress")


class LivedIn:
    """Fills a site, and knows the addresses of its pages.

    Parameters
    ----------
    site : Site
    photograph, make_view : callable
        Of conftest.py.
    name : str
        Begins the ids of its runs.
    side_px : int
        Of its photographs.
    """

    def __init__(
        self,
        site: Any,
        photograph: Callable[..., bytes],
        make_view: Callable[..., LocalFeatures],
        name: str,
        side_px: int = 320,
    ) -> None:
        self.site, self.photograph, self.make_view = site, photograph, make_view
        self.name, self.side_px = name, side_px
        self.query = site.base + "queries/courtyard/query of mine.jpg"
        site.put(self.query, photograph(1, 0, side_px))

    def path(self, name: str) -> str:
        """Of an indexed photograph."""
        return f"{self.site.base}images/courtyard/{name}.jpg"

    def index(self, names: str, place: int = 1) -> None:
        """Put photographs of one place into S3 and into the index."""
        for number, name in enumerate(names, 1):
            path = self.path(name)
            self.site.put(path, self.photograph(place, number % 3, self.side_px))
            etag = read_etag(self.site.landmark.s3, path)
            features = self.view(place, number)
            save_image(self.site.landmark.database, path, MODEL, etag, features, read_etag=etag)
        mark_searched(self.site.landmark.database, MODEL)

    def view(self, place: int, number: int) -> LocalFeatures:
        """The features of a photograph of the size that ours have."""
        view = self.make_view(place, number)
        return replace(
            view,
            locations=view.locations * np.float32(self.side_px / view.width),
            width=self.side_px,
            height=self.side_px,
        )

    def group(self, names: str) -> int:
        """Make indexed photographs a place; return its number."""
        database = self.site.landmark.database
        rows = versions_of(database, MODEL, [self.path(name) for name in names])
        pairs = [
            sorted(rows[self.path(name)][0] for name in pair) for pair in combinations(names, 2)
        ]
        save_edges(database, [Edge(*pair, 60, 120) for pair in pairs], dict(rows.values()))
        update_places(database, MODEL, CHANCE)
        return places_of_paths(database, MODEL, [self.path(names[0])])[self.path(names[0])]

    def result(self, matches: list[Match], folder: str, query: str) -> dict[str, Any]:
        """Write what one search has found; return its answer in short."""
        write_query(self.site.landmark.s3, folder, self.view(1, 0))
        result = SearchResult(
            query, MODEL, 9, "2026-01-02T23:34:05+00:00", "exhaustive",
            {"min_inliers": 5, "max_distance": 0.85}, "match", matches,
        )  # fmt: skip
        return write_result(self.site.landmark.s3, folder, result)

    def search(self, name: str, matches: list[Match]) -> str:
        """Write a run that has found matches, and its contact sheet; return its address."""
        run_id, folder = f"{self.name}-{name}", self.site.base + FOLDER.format(name)
        answer = self.result(matches, folder, self.query)
        self.site.overview(run_id, folder, self.query)
        pixels = np.full((60, 80, 3), 120, np.uint8)
        sheet = draw_contact_sheet(pixels, [(1, matches[0], pixels)] if matches else [])
        self.site.put(folder + CONTACT_SHEET, sheet)
        told = {QUERY: {"folder": folder}, ANSWER: answer, ("draw_matches", "return_value"): 1}
        self.run(run_id, {"image_path": self.query}, told, tasks={"draw_matches": "success"})
        return f"/searches/{run_id}"

    def several(self, name: str, searches: list[tuple[str, str | None, list[Match]]]) -> str:
        """Write a run of several photographs, each with its outcome; return its address."""
        run_id, folder = f"{self.name}-{name}", self.site.base + FOLDER.format(name)
        told, answer = [], None
        for number, (path, outcome, matches) in enumerate(searches):
            below = f"{folder}{number}-{number:016x}/"
            if outcome == "failed":
                told.append(Search(path, below).failed(f"{path}: no photograph; leave it out"))
                continue
            self.site.put(path, self.photograph(1, number % 3, self.side_px))
            answer = self.result(matches, below, path)
            best = matches[0].image_path if matches else None
            inliers = max((match.inliers for match in matches), default=0)
            told.append(Search(path, below, True, outcome, None, inliers, best, len(matches), 9))
        overview = Searches(run_id, folder, tuple(told))
        overview.write(self.site.landmark.s3)
        assert answer is not None
        answer = {**answer, "searches": overview.counts}
        conf = {"image_path": [search.query for search in told]}
        self.run(run_id, conf, {QUERY: {"folder": folder}, ANSWER: answer})
        return f"/searches/{run_id}"

    def run(
        self,
        run_id: str,
        conf: dict[str, Any],
        told: dict[tuple[str, str], Any],
        state: str = "success",
        tasks: dict[str, str] | None = None,
        dag_id: str = "landmark_search",
    ) -> str:
        """Write a run in a state; return its address."""
        self.site.run(run_id, conf, told, dag_id)
        self.set_state(run_id, state)
        with psycopg.connect(self.site.tables) as connection:
            connection.execute("SET session_replication_role = replica")
            for task, state in (tasks or {}).items():
                connection.execute(
                    "INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, state, "
                    "try_number, pool, pool_slots) VALUES (gen_random_uuid(), %s, %s, %s, -1, %s, "
                    "1, 'default_pool', 1)",
                    [task, dag_id, run_id, state],
                )
        return f"/searches/{run_id}"

    def set_state(
        self, run_id: str, state: str, told: dict[tuple[str, str], Any] | None = None
    ) -> None:
        """Move a run on, and add what its tasks tell."""
        with psycopg.connect(self.site.tables) as connection:
            connection.execute("SET session_replication_role = replica")
            row = connection.execute(
                "UPDATE dag_run SET state = %s WHERE run_id = %s RETURNING id, dag_id",
                [state, run_id],
            ).fetchone()
            assert row is not None
            for (task, key), value in (told or {}).items():
                connection.execute(
                    "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, "
                    "timestamp) VALUES (%s, %s, -1, %s, %s, %s, %s, now()) ON CONFLICT "
                    "(dag_run_id, task_id, map_index, key) DO UPDATE SET value = excluded.value",
                    [row[0], task, key, row[1], run_id, Jsonb(value)],
                )

    @property
    def matches(self) -> list[Match]:
        """Of every kind that a result has, the photographs being indexed."""
        copy = Match(70, 90, self.path("d"), expected=1e-9, is_copy=True)
        steps = (Step(41, self.path("a")), Step(63, self.path("e")))
        return [
            Match(60, 80, self.path("a"), expected=1e-6, copies=(copy,), overlay=7),
            Match(58, 80, self.path("b"), expected=1e-5, is_copy=True),
            Match(7, 30, self.path("e"), steps, expected=3.0),
            Match(13, 40, self.path("c"), expected=0.4),
            Match(6, 30, self.path("f"), expected=7.0),
        ]

    def fill(self) -> dict[str, str]:
        """Put something on every page; return their addresses by name."""
        database, s3 = self.site.landmark.database, self.site.landmark.s3
        self.index("abcdef")
        place = self.group("abcd")
        name_place(database, place, "The courtyard", "Two notes,\nin two lines")
        watch = start(database, MODEL, "ada", None, place)
        self.index("g")
        self.group("abcdg")
        tell_watches(database, s3, self.site.landmark.settings.results, MODEL, self.name)
        say(database, self.path("a"), self.path("b"), True, "ada")
        say(database, self.path("a"), self.path("c"), False, "ada")
        with database.connect() as connection:
            number = connection.execute("SELECT max(number) FROM landmark_corrections").fetchone()[
                0
            ]
            connection.execute(
                "INSERT INTO landmark_failures (image_path, model, etag, reason) VALUES "
                "(%s, %s, '1', %s)",
                [self.path("broken"), MODEL, f"{self.path('broken')}: no photograph; remove it"],
            )
            connection.execute(
                "INSERT INTO landmark_sweeps (sweep, model, prefix, finished_at, seen, new, "
                "changed, retried, removed, postponed, indexed, failed, gone) VALUES "
                "(%s, %s, 's3://x/', now(), 9, 7, 0, 0, 0, 0, 7, 1, 0)",
                [f"{self.name}-sweep", MODEL],
            )
        take_back(database, number, "eve")
        found = self.search("found", self.matches)
        names = [f"{self.site.base}queries/courtyard/sub/{number}.jpg" for number in range(5)]
        several = self.several(
            "several",
            [
                (names[0], "match", self.matches[:2]),
                (names[1], "no match", []),
                (names[2], "uncertain", self.matches[3:4]),
                (names[3], "failed", []),
                (names[4], "match", self.matches[:1]),
            ],
        )
        reason = {("extract_query", "reason"): f"{self.query}: no such object; check the path"}
        failed, running, cancelled = (
            f"{self.name}-{state}" for state in ("failed", "running", "off")
        )
        asked = {"image_path": self.query}
        self.run(failed, asked, reason, "failed", {"extract_query": "failed"})
        self.run(cancelled, asked, {CANCELLED: {"user": "ada", "clear_number": 0}}, "failed")
        progress = {PROGRESS: {"done": 5, "total": 10, "rate": 2}}
        self.run(running, asked, progress, "running", {"extract_query": "running"})
        self.run(f"{self.name}-sweep", {}, {}, "running", dag_id="landmark_index")
        indexed = quote(self.path("a"), safe="")
        return {
            "searches": "/",
            "no-search-page": "/?page=1&image_path=" + quote(self.query, safe=""),
            "result": found,
            "pair": f"{found}/pairs/1",
            "chain": f"{found}/pairs/3",
            "alone": f"{found}/look/1",
            "query": f"{found}/look/0",
            "sheet": f"{found}/contact-sheet",
            "several": several,
            "one-of-several": f"{several}?query=3",
            "failed-one": f"{several}?query=4",
            "failed": f"/searches/{failed}",
            "running": f"/searches/{running}",
            "cancelled": f"/searches/{cancelled}",
            "begun": f"/searches/{running}?begun_at={self.name}-found&at_match=1",
            "again": f"/again?run={self.name}-found",
            "several-again": f"/again?run={self.name}-several",
            "places": "/places",
            "place": f"/places/{place}",
            "watches": "/watches",
            "report": f"/watches/{watch}/reports/1/contact-sheet",
            "corrections": "/corrections",
            "corrected": f"/corrections/{number}/look/first",
            "index": "/index",
            "indexed": f"/index/look?path={indexed}",
            "sweep": f"/dags/landmark_index/runs/{self.name}-sweep",
            "error": "/searches/none",
            "no-page": "/none",
        }
