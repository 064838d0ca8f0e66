"""The benchmark runs both sides and says which images it cannot use; how fast is not tested."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from benchmarks import chance, extract, ingest, matching, overlays, search
from landmark.extraction.models import BUNDLED_MODEL


def test_both_sides_are_measured_in_one_run(tmp_path, photograph, monkeypatch):
    monkeypatch.setenv("LANDMARK_MODEL", str(BUNDLED_MODEL))
    monkeypatch.setattr("benchmarks.matching.STREAMED_IMAGES", 10)
    for place in range(3):
        (tmp_path / f"{place}.jpg").write_bytes(photograph(place, side=160))
    out = tmp_path / "figures.json"
    assert matching.main(["--images", str(tmp_path), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["pairs"] == 6 and figures["reference_pairs"] == 3
    assert figures["ms_per_pair"] == pytest.approx(
        figures["matching_ms_per_pair"] + figures["verification_ms_per_pair"]
    )
    assert figures["ratio_to_peak"] == pytest.approx(
        figures["float32_product_ms_per_pair"] / figures["matching_ms_per_pair"]
    )
    assert 0 <= figures["verifications_saved"] <= 1 and figures["buffer_mb"] > 0
    assert figures["ratio"] == pytest.approx(
        figures["reference_ms_per_pair"] / figures["ms_per_pair"]
    )


def test_extraction_is_measured_beside_delf_with_its_memory(tmp_path, photograph, monkeypatch):
    monkeypatch.setenv("LANDMARK_MODEL", str(BUNDLED_MODEL))
    monkeypatch.setattr("benchmarks.runtimes.ROUNDS", 1)
    for place in range(2):
        (tmp_path / f"{place}.jpg").write_bytes(photograph(place, side=160))
    out = tmp_path / "figures.json"
    assert extract.main(["--images", str(tmp_path), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["images"] == 2 and figures["features_per_image"] > 10
    assert len(figures["reference_scales"]) == 7
    assert figures["ratio"] == pytest.approx(
        figures["reference_seconds_per_image"] / figures["seconds_per_image"]
    )
    assert 0 < figures["private_mb"] < figures["peak_mb"]
    runtimes = figures["runtimes"]
    litert, tensorflow = runtimes["litert"], runtimes["tensorflow"]
    assert runtimes["images"] == 2
    for case in ("one_core", "two_cores", "two_threads"):
        assert litert["images_per_second"][case] > 0 and tensorflow["images_per_second"][case] > 0
    assert runtimes["first_answer_ratio"] == pytest.approx(
        tensorflow["first_answer"]["all"] / litert["first_answer"]["all"]
    )
    parts = litert["first_answer"]
    assert parts.keys() == {"all", "start", "load", "image", "processor"}
    assert 0 < litert["pss_mb"] < tensorflow["peak_mb"]


def test_searches_are_measured_at_every_size_on_a_postgres_of_their_own(
    tmp_path, photograph, monkeypatch
):
    monkeypatch.setenv("LANDMARK_MODEL", str(BUNDLED_MODEL))
    for place in range(4):
        (tmp_path / f"{place}.jpg").write_bytes(photograph(place, side=160))
    out = tmp_path / "search.json"
    options = ["--sizes", "30,60", "--nearest-sizes", "50,200", "--shortlist", "10"]
    options += ["--queries", "2", "--images", str(tmp_path), "--json", str(out)]
    assert search.main(options) == 0
    figures = json.loads(out.read_text())
    assert figures["ratio"] == figures["searches"][2]["of_prediction"]
    searches = {(one["images"], one["mode"]): one for one in figures["searches"]}
    assert set(searches) == {(n, m) for n in (30, 60) for m in ("exhaustive", "shortlist")}
    for (images, mode), one in searches.items():
        assert one["rows_read"] == (images if mode == "exhaustive" else 10)
        assert one["views_found"] > 0.9 and one["seconds"] > 0
        assert one["graph_ratio"] > 0
        assert one["worker_mb"] > 50 and one["task_and_scheduler_mb"] > 50
    read = {key: one["bytes_read"] for key, one in searches.items()}
    assert read[60, "shortlist"] < read[60, "exhaustive"] < 3 * read[30, "exhaustive"]
    assert [one["images"] for one in figures["nearest"]] == [50, 200]
    assert all(one["recall"] > 0.9 for one in figures["nearest"])
    table = out.with_suffix(".md").read_text()
    assert "| 60 | shortlist |" in table and "| 200 | 10 |" in table
    assert Image.open(out.with_suffix(".png")).size == (760, 480)


def test_a_sweep_is_measured_beside_the_bare_model_and_plans_against_rows(
    tmp_path, photograph, monkeypatch
):
    monkeypatch.setenv("LANDMARK_MODEL", str(BUNDLED_MODEL))
    for place in range(2):
        (tmp_path / f"{place}.jpg").write_bytes(photograph(place, side=160))
    out = tmp_path / "ingest.json"
    options = ["--images", str(tmp_path), "--count", "5", "--keys", "2000", "--json", str(out)]
    options += ["--link-sizes", "40"]
    assert ingest.main(options) == 0
    figures = json.loads(out.read_text())
    assert figures["images"] == figures["indexed"] == 5
    assert figures["ratio"] == pytest.approx(
        figures["images_per_second"] / figures["model_images_per_second"]
    )
    assert figures["peak_mb"] > 100 and figures["peak_postgres_mb"] > 10
    nothing, little, everything = figures["plans"]
    counts = ("seen", "new", "changed", "removed", "batches")
    assert [nothing[name] for name in counts] == [2000, 0, 0, 0, 0]
    assert [little[name] for name in counts] == [2000, 20, 20, 20, 1]
    assert [everything[name] for name in counts] == [2000, 2000, 0, 0, 8]
    assert all(plan["seconds"] > 0 and plan["process_mb"] > 50 for plan in figures["plans"])
    (linked,) = figures["linking"]["tables"]
    assert linked["images"] == 40 and figures["linking"]["ratio"] == linked["ratio"] > 0
    assert linked["ratio"] == pytest.approx(linked["link_seconds"] / linked["extract_seconds"])
    assert "| 2,000 | nothing new |" in out.with_suffix(".md").read_text()


def test_a_folder_without_images_is_named(tmp_path, capsys):
    assert matching.main(["--images", str(tmp_path)]) == 1
    assert f"{tmp_path}: fewer than two images" in capsys.readouterr().err


def test_chance_is_measured_on_photographs_of_different_folders(tmp_path, photograph, monkeypatch):
    monkeypatch.setenv("LANDMARK_MODEL", str(BUNDLED_MODEL))
    for place in range(3):
        (tmp_path / str(place)).mkdir()
        for view in range(2):
            (tmp_path / str(place) / f"{view}.jpg").write_bytes(photograph(place, view, side=160))
    out, into = tmp_path / "figures.json", tmp_path / "chance.json"
    options = ["--pairs", "500", "--json", str(out), "--into", str(into)]
    assert chance.main([str(tmp_path), *options]) == 0
    figures = json.loads(out.read_text())
    assert figures["pairs"] == 12 and figures["reached"]["18"] == 0
    assert sum(json.loads(into.read_text())["pairs_by_inliers"]) == 12


def test_overlays_are_drawn_and_what_they_do_is_counted(tmp_path, photograph, monkeypatch):
    monkeypatch.setenv("LANDMARK_MODEL", str(BUNDLED_MODEL))
    kinds = ("logo, opaque", "caption, transparent")
    monkeypatch.setattr(overlays, "KINDS", {kind: overlays.KINDS[kind] for kind in kinds})
    monkeypatch.setattr(overlays, "KINDS_EACH", 2)
    for place in range(4):
        (tmp_path / "unlike").mkdir(exist_ok=True)
        (tmp_path / "unlike" / f"{place}.jpg").write_bytes(photograph(place, side=320))
    for place, view in ((5, 0), (5, 1), (6, 0), (6, 1)):
        folder = tmp_path / "places" / str(place)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{view}.jpg").write_bytes(photograph(place, view, side=320))
    out, keep = tmp_path / "figures.json", tmp_path / "keep"
    arguments = [str(tmp_path / "unlike"), str(tmp_path / "places"), "--keep", str(keep)]
    assert overlays.main([*arguments, "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["photographs"] == 4 and figures["unlike"]["pairs"] == 12
    assert figures["unlike"]["match_without"] > 0
    assert figures["unlike"]["match_with"] < figures["unlike"]["match_without"]
    assert set(figures["unlike"]["kinds"]) == set(kinds)
    assert figures["places"]["pairs"] == 2 and 0 <= figures["places"]["kept"] <= 1
    assert {folder.name for folder in keep.iterdir()} == {*kinds, overlays.PLAIN}
    # From what was kept it is the same.
    again = tmp_path / "again.json"
    assert overlays.main([*arguments, "--json", str(again)]) == 0
    assert json.loads(again.read_text())["unlike"]["kinds"] == figures["unlike"]["kinds"]
