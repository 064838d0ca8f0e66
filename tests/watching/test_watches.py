"""Watches over sweeps: what is news, told once, on a real Postgres and a real S3."""

import io
import json
from itertools import combinations

import pytest
from graphs import MODEL
from PIL import Image

from landmark.errors import LandmarkError
from landmark.index.places import update_places
from landmark.matching.chance import ChanceHistogram
from landmark.storage import watches as stored
from landmark.storage.corrections import say
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import mark_searched, register_model
from landmark.storage.places import find_place, list_places, name_place, places_of_paths
from landmark.watching import watches
from landmark.watching.watches import start, tell_watches

CHANCE = ChanceHistogram((99_000, *(1 + round(500 * 0.5**n) for n in range(9))))
LATER_MODEL = "model-2"


class Bucket:
    """A table and a bucket that photographs come into, as a sweep would leave them."""

    def __init__(self, database, s3, put, make_view, photograph):
        self.database, self.s3, self._make_view = database, s3, make_view
        self._put, self._photograph, self.runs = put, photograph, 0
        self.results = put() + "results/"

    def path(self, name):
        return self._put() + f"{name}.jpg"

    def add(self, names, links=(), inliers=60, model=MODEL):
        """Sweep photographs in, each linked with the others of its pairs."""
        for name in names:
            self._put({f"{name}.jpg": self._photograph(1, ord(name[0]) % 5, side=160)})
            save_image(self.database, self.path(name), model, "1", self._make_view(1, n=20))
        pairs = [tuple(pair) for pair in links]
        rows = versions_of(self.database, model, [self.path(x) for pair in pairs for x in pair])
        ids = {path: number for path, (number, _) in rows.items()}
        edges = [
            Edge(*sorted((ids[self.path(a)], ids[self.path(b)])), inliers, 2 * inliers)
            for a, b in pairs
        ]
        save_edges(self.database, edges, dict(rows.values()))
        update_places(self.database, model, CHANCE)

    def tell(self, run=None, model=MODEL):
        self.runs += 1
        run = run or f"run-{self.runs}"
        return tell_watches(self.database, self.s3, self.results, model, run)

    def place(self, name, model=MODEL):
        return places_of_paths(self.database, model, [self.path(name)]).get(self.path(name))

    def read(self, path):
        bucket, _, key = path.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def told(self, report):
        names = json.loads(self.read(report.folder + "report.json"))["photographs"]
        return [one["image_path"].rsplit("/", 1)[1][:-4] for one in names]


@pytest.fixture
def bucket(database, s3, prefix, make_view, photograph):
    register_model(database, MODEL, {})
    mark_searched(database, MODEL)
    found = Bucket(database, s3, prefix, make_view, photograph)
    found.add("abc", combinations("abc", 2))
    return found


def test_what_was_there_before_is_no_news(bucket):
    start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    start(bucket.database, MODEL, "eve", photograph=bucket.path("a"))
    assert bucket.tell() == [] and bucket.tell() == []


@pytest.mark.parametrize("by", ["place", "photograph"])
def test_what_comes_in_is_told_once(bucket, by):
    watched = {"place": bucket.place("a")} if by == "place" else {"photograph": bucket.path("a")}
    number = start(bucket.database, MODEL, "eve", **watched)
    bucket.add("de", [*combinations("abd", 2), ("e", "d"), ("e", "c"), ("e", "b")])
    (report,) = bucket.tell("first")
    assert (report.watch, report.number, report.photographs) == (number, 1, 2)
    assert report.folder == f"{bucket.results}watches/{number}/1/"
    assert bucket.told(report) == ["d", "e"]
    assert bucket.tell("second") == []
    bucket.add("f", [("f", "a"), ("f", "b"), ("f", "c")])
    (report,) = bucket.tell("third")
    assert report.number == 2 and bucket.told(report) == ["f"]


def test_a_report_says_what_a_photograph_agrees_with(bucket):
    name_place(bucket.database, bucket.place("a"), "Old\tmill", "")
    number = start(bucket.database, MODEL, "eve", photograph=bucket.path("a"))
    bucket.add("d", [("d", "a"), ("d", "c")], 40)
    bucket.add("", [("d", "b")], 70)
    (report,) = bucket.tell("run")
    assert bucket.read(report.folder + "report.txt").decode().splitlines() == [
        f"# watch: {number}",
        f"# photograph: {bucket.path('a')}",
        f"# place: {report.place}, Old%09mill",
        "# run: run",
        "# new photographs: 1",
        "# columns: inliers, image_path, agrees_with, said",
        f"70\t{bucket.path('d')}\t{bucket.path('b')}\t",
    ]
    told = json.loads(bucket.read(report.folder + "report.json"))
    assert told["name"] == "Old\tmill" and told["photographs"][0]["inliers"] == 70
    sheet = Image.open(io.BytesIO(bucket.read(report.folder + "contact-sheet.jpg")))
    assert sheet.format == "JPEG" and sheet.width > 2 * 320


def test_other_places_are_not_told_of(bucket):
    start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    bucket.add("wxyn", combinations("wxy", 2))
    assert bucket.tell() == []


def test_a_photograph_in_no_place_yet(bucket):
    bucket.add("n")
    start(bucket.database, MODEL, "eve", photograph=bucket.path("n"))
    assert bucket.tell() == []
    bucket.add("m", [("m", "n")])
    (report,) = bucket.tell()
    assert bucket.told(report) == ["m"]


def test_what_people_join_is_told_and_by_whose_word(bucket):
    start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    bucket.add("n")
    for other in "abc":
        say(bucket.database, bucket.path("n"), bucket.path(other), True, "ada")
    update_places(bucket.database, MODEL, CHANCE)
    (report,) = bucket.tell()
    assert bucket.read(report.folder + "report.txt").decode().endswith("\tthe same place\n")


def test_killed_before_it_was_noted_the_same_is_written_again(bucket, monkeypatch):
    start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    bucket.add("d", [("d", "a"), ("d", "b")])

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stored, "save_report", killed)
        with pytest.raises(KeyboardInterrupt):
            bucket.tell("run")
    folder = f"{bucket.results}watches/1/1/"
    before = bucket.read(folder + "report.json")
    (report,) = bucket.tell("run")
    assert report.folder == folder and bucket.read(folder + "report.json") == before
    assert bucket.tell("run") == [report]  # for the events, if the task dies after that
    assert bucket.tell("next") == []


def test_a_photograph_that_has_gone_is_told_without_its_picture(bucket, caplog):
    start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    bucket.add("d", [("d", "a"), ("d", "b")])
    key = bucket.path("d").split("/", 3)[3]
    bucket.s3.delete_object(Bucket="landmark", Key=key)
    (report,) = bucket.tell()
    assert bucket.told(report) == ["d"] and "no picture" in caplog.text


def test_who_watches_what_is_watched_gets_that_watch(bucket):
    first = start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    bucket.add("d", [("d", "a"), ("d", "b")])
    assert start(bucket.database, MODEL, "ada", place=bucket.place("a")) == first
    (report,) = bucket.tell()  # the second did not swallow the news
    assert bucket.told(report) == ["d"]


def test_an_ended_watch_is_told_nothing_and_another_begins_anew(bucket):
    first = start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    stored.end_watch(bucket.database, first, "ada")
    bucket.add("d", [("d", "a"), ("d", "b")])
    assert bucket.tell() == []
    second = start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    assert second != first and bucket.tell() == []
    (latest, earlier) = stored.latest_watches(bucket.database, 10)
    assert (latest.number, earlier.ended_by) == (second, "ada")


def test_the_place_of_a_watch_outlives_its_photographs(bucket):
    place = bucket.place("a")
    start(bucket.database, MODEL, "eve", place=place)
    with bucket.database.connect() as connection:
        connection.execute("DELETE FROM landmarks")
    update_places(bucket.database, MODEL, CHANCE)
    assert find_place(bucket.database, place).images == 0


@pytest.mark.parametrize(
    ("watched", "message"),
    [
        ({}, "a photograph or a place"),
        ({"photograph": "s3://b/a", "place": 1}, "a photograph or a place"),
        ({"photograph": "s3://b/none.jpg"}, "s3://b/none.jpg: not in the index"),
        ({"place": 999_999}, "place 999999: there is none"),
    ],
)
def test_what_cannot_be_watched_is_told(bucket, watched, message):
    with pytest.raises(LandmarkError, match=message):
        start(bucket.database, MODEL, "eve", **watched)


def test_another_model_takes_over_names_and_watches(bucket):
    """The other model's places have other numbers; nothing is told twice."""
    place = bucket.place("a")
    name_place(bucket.database, place, "Old mill", "by the river")
    number = start(bucket.database, MODEL, "eve", place=place)
    register_model(bucket.database, LATER_MODEL, {})
    bucket.add("wxyabc", [*combinations("wxy", 2), *combinations("abc", 2)], model=LATER_MODEL)
    (unnamed, _) = list_places(bucket.database, LATER_MODEL)
    assert unnamed.name is None  # searches do not use it yet
    mark_searched(bucket.database, LATER_MODEL)
    update_places(bucket.database, LATER_MODEL, CHANCE)
    later = find_place(bucket.database, bucket.place("a", LATER_MODEL))
    assert (later.name, later.note) == ("Old mill", "by the river") and later.id != place
    assert stored.find_watch(bucket.database, place=later.id).number == number
    assert bucket.tell(model=LATER_MODEL) == []
    bucket.add("d", [("d", "a"), ("d", "b")], model=LATER_MODEL)
    (report,) = bucket.tell(model=LATER_MODEL)
    assert bucket.told(report) == ["d"]
    name_place(bucket.database, later.id, "", "")
    update_places(bucket.database, LATER_MODEL, CHANCE)
    assert find_place(bucket.database, later.id).name is None


def test_more_than_fit_a_report_come_in_the_next(bucket, monkeypatch):
    monkeypatch.setattr(watches, "MOST_PHOTOGRAPHS", 2)
    start(bucket.database, MODEL, "eve", place=bucket.place("a"))
    bucket.add("def", [(new, old) for new in "def" for old in "abc"])
    assert [one.photographs for run in "xyz" for one in bucket.tell(run)] == [2, 1]
