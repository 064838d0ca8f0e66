"""A part of a photograph, and a photograph that is turned: as they are asked for, and found."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction.decoding import DecodedImage, decode_image
from landmark.extraction.extractor import load_extractor
from landmark.features import LocalFeatures
from landmark.index.extract import ImageReader
from landmark.matching.pair import compare
from landmark.search import framing
from landmark.search.asking import check_framing
from landmark.search.framing import WHOLE, Framing, decode_framed, read_framing
from landmark.search.pictures import draw_pair, find_lines, read_pairs
from landmark.search.queries import extract_queries
from landmark.search.rank import WrittenQueries, rank_table
from landmark.search.result import TURNED_QUERY, read_query, read_result
from landmark.search.searches import Searches, read_own
from landmark.search.seen import framed_picture
from landmark.search.turning import rank_turned
from landmark.storage.bucket import S3Object
from landmark.storage.images import find_image, save_image


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def pixels_of(body):
    return decode_image(body, "x.jpg", 10_000).pixels


# ---- what is asked for ---------------------------------------------------------------------------


def test_numbers_become_a_box_of_whole_pixels():
    assert read_framing() == WHOLE and WHOLE.is_whole and WHOLE.told == {}
    assert read_framing([1.4, 2, 99.6, 200], 90) == Framing((1, 2, 100, 200), 90)
    assert read_framing(None, 0.0).is_whole


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([1, 2, 3], "give x0, y0, x1, y1 in px"),
        ("1,2,30,40", "give x0, y0, x1, y1 in px"),
        ([1, 2, "30", 40], "give x0, y0, x1, y1 in px"),
        ([1, 2, float("nan"), 40], "give x0, y0, x1, y1 in px"),
        ([1, 2, 1e300, 40], "give x0, y0, x1, y1 in px"),
        ([-5, 2, 30, 40], "box -5,2,30,40: lies outside of the picture, which begins at 0,0"),
        ([30, 2, 30, 40], "box 30,2,30,40: is empty"),
        ([40, 2, 30, 40], "box 40,2,30,40: is empty"),
    ],
)
def test_what_is_no_box_on_any_photograph_is_told_in_one_line(box, reason):
    with pytest.raises(LandmarkError, match=reason) as error:
        read_framing(box)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("turn", [45, -90, 360, "90"])
def test_only_quarters_are_turns(turn):
    with pytest.raises(LandmarkError, match="none of 0, 90, 180 and 270 degrees"):
        read_framing(None, turn)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (
            (400, 10, 500, 90),
            "q.jpg: box 400,10,500,90: lies outside of the picture, .* 300x200 px",
        ),
        ((10, 10, 301, 90), "q.jpg: box 10,10,301,90: reaches beyond the picture, .* 300x200 px"),
        ((10, 10, 41, 90), "q.jpg: box 10,10,41,90: too small: 31x80 px; each side needs 32 px"),
    ],
)
def test_a_box_that_is_not_on_the_photograph_is_told_in_one_line(box, reason):
    body = jpeg(np.zeros((200, 300, 3), np.uint8))
    with pytest.raises(UnusableImage, match=reason):
        decode_framed(body, "q.jpg", Framing(box), 800)
    with pytest.raises(UnusableImage, match="30x30 px"):  # its own smallness first
        decode_framed(jpeg(np.zeros((30, 30, 3), np.uint8)), "q.jpg", Framing(box), 800)


def test_a_box_goes_with_one_photograph():
    check_framing("s3://b/a.jpg", [1, 2, 3, 4])
    check_framing(["s3://b/a.jpg"], [1, 2, 3, 4])
    check_framing("s3://b/a/", None)
    for asked in ("s3://b/a/", "s3://b/a.jpg\ns3://b/b.jpg", ["s3://b/a.jpg", "s3://b/b.jpg"], ""):
        with pytest.raises(LandmarkError, match="box: goes with exactly one photograph"):
            check_framing(asked, [1, 2, 3, 4])


# ---- pixels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turn", "corner"), [(0, 0), (90, 1), (180, 2), (270, 3)])
def test_it_is_turned_clockwise_and_the_box_with_it(turn, corner):
    """A white box at the top left: of the corners from there on, clockwise, where is it then?"""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[10:60, 20:70] = 255
    framed = Framing((20, 10, 70, 60), turn)
    turned = framed.turned(pixels)
    assert turned.shape == ((100, 200, 3) if turn % 180 == 0 else (200, 100, 3))
    height, width = turned.shape[:2]
    y, x = (axis.mean() for axis in np.nonzero(turned[..., 0]))
    corners = [(False, False), (True, False), (True, True), (False, True)]
    assert (x > width / 2, y > height / 2) == corners[corner]
    assert framed.of_image(DecodedImage(pixels, 200, 100)).min() == 255
    assert framed.size(200, 100) == (50, 50)
    y0, x0, y1, x1 = framed.extent(200, 100)
    inside = turned[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)]
    assert inside.shape == (50, 50, 3) and inside.min() == 255


def test_a_box_is_of_the_picture_as_it_is_displayed():
    """EXIF says that the camera was turned: the box is counted on the upright picture."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 120:] = 250  # on the upright picture, which is turned clockwise, the lower part
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif, quality=95)
    found = decode_framed(buffer.getvalue(), "q.jpg", Framing((0, 130, 100, 200)), 800)
    assert (found.width, found.height) == (100, 70) and found.pixels.min() > 240


def test_a_small_part_of_a_large_photograph_keeps_its_detail():
    rng = np.random.default_rng(1)
    pixels = np.array(
        Image.fromarray(rng.integers(0, 255, (500, 500, 3), np.uint8)).resize((2000, 2000))
    )
    part = decode_framed(jpeg(pixels), "q.jpg", Framing((800, 800, 1100, 1200)), 400)
    assert part.pixels.shape == (400, 300, 3) and (part.width, part.height) == (300, 400)
    assert np.abs(part.pixels.astype(int) - pixels[800:1200, 800:1100]).mean() < 12


def test_of_a_large_part_no_more_is_decoded_than_the_model_sees(monkeypatch):
    pixels = np.zeros((1200, 2400, 3), np.uint8)
    pixels[:, 1200:] = 255
    body, decoded = jpeg(pixels), []

    def decode(data, name, max_size_px):
        decoded.append(max_size_px)
        return decode_image(data, name, max_size_px)

    monkeypatch.setattr(framing, "decode_isolated", decode)
    part = decode_framed(body, "q.jpg", Framing((1200, 0, 2400, 1200), 90), 400)
    assert decoded == [400, 800] and (part.width, part.height) == (1200, 1200)
    assert part.pixels.shape == (400, 400, 3) and part.pixels.min() > 200
    decode_framed(body, "q.jpg", Framing(turn=180), 400)
    # As of a JPEG that is larger than may be decoded as it is.
    monkeypatch.setattr(framing, "MAX_PIXELS", 2400 * 1200 // 4)
    tiny = decode_framed(body, "q.jpg", Framing((1200, 0, 1300, 100)), 200)
    assert decoded[2:] == [400, 200, 300] and tiny.pixels.min() > 200


def test_the_box_is_seen_on_the_picture():
    image = decode_image(jpeg(np.full((200, 300, 3), 200, np.uint8)), "q.jpg", 10_000)
    picture = framed_picture(image, Framing((150, 50, 250, 150)))
    assert picture.shape == (200, 300, 3)
    assert picture[100, 200].tolist() == image.pixels[100, 200].tolist()
    assert picture[10, 10].max() <= 101 and tuple(picture[50, 200]) == (255, 214, 0)
    assert framed_picture(image, Framing(turn=90)).shape == (300, 200, 3)


# ---- searches ------------------------------------------------------------------------------------


@pytest.fixture
def search(database, s3, prefix, bundled_model, extractor, dask_client, photograph):
    """Three places of two views in the table; a search for a photograph as its DAG does it."""
    for place in range(3):
        for view in range(2):
            features = extractor.extract(photograph(place, view), "x")
            save_image(database, path_of(place, view), bundled_model.fingerprint, "1", features)
    looked = []

    def run(objects, framing=WHOLE, add_to_index=False, turns=True):
        base = prefix(objects)
        folder = base + "results/run/"
        asked = [base + name for name in objects]
        asked = asked[0] if len(asked) == 1 else asked
        found = [(base + name, None) for name in objects]
        searches = Searches.plan("run", folder, asked, found, framing).claim(s3)
        extracted = extract_queries(
            database, s3, bundled_model, searches.paths, add_to_index, framing=framing
        )
        searches.keep_queries(s3, extracted)
        return again(folder, turns)

    def again(folder, turns=True):
        searches = read_own(s3, folder, "run")

        def rank(queries):
            looked.append(len(queries))
            return rank_table(
                database, dask_client, bundled_model.fingerprint, queries, 100, keep_edges=True
            )

        turned = partial(
            rank_turned, s3, load_extractor, lambda: bundled_model, bundled_model.fingerprint, rank
        )
        results = rank(WrittenQueries(s3, searches.read))
        answer = searches.keep_results(s3, results, *([turned] if turns else []))
        return read_own(s3, folder, "run"), answer

    run.again, run.looked = again, looked
    return run


def path_of(place, view=0):
    return f"s3://b/{place}/{view}.jpg"


def places_of(result):
    return [match.image_path.split("/")[3] for match in result.matches if not match.via]


def test_a_part_of_a_photograph_finds_the_place_that_it_shows(
    search, s3, database, bundled_model, photograph, prefix
):
    """Two places on one photograph: each is found by its own half, and the whole is indexed."""
    both = np.hstack([pixels_of(photograph(0, -1)), pixels_of(photograph(2, -1))])
    body = {"both.jpg": jpeg(both)}
    left, _ = search(body, Framing((0, 0, 320, 320)), add_to_index=True)
    result = read_result(s3, left.folder)
    assert set(places_of(result)) == {"0"} and result.verdict == "match"
    assert result.framing == Framing((0, 0, 320, 320)) == left.searches[0].framing
    assert "# box: 0,0,320,320" in result.to_text().decode().splitlines()
    query = read_query(s3, left.folder)
    assert (query.width, query.height) == (320, 320)
    # In the table it is the whole photograph, before a search of its part and after.
    path = left.searches[0].query
    row = find_image(database, path, bundled_model.fingerprint)
    assert row is not None and (row[1].width, row[1].height) == (640, 320)
    right, _ = search(body, Framing((320, 0, 640, 320)), add_to_index=True)
    assert set(places_of(read_result(s3, right.folder))) == {"2"}
    again = find_image(database, path, bundled_model.fingerprint)
    assert again is not None and again[1].to_bytes() == row[1].to_bytes()
    with database.connect() as connection:  # what a part matches says nothing of the whole
        edges = "SELECT count(*) FROM landmark_matches"
        assert connection.execute(edges).fetchone() == (0,)


def test_a_box_beside_the_photograph_fails_in_one_line(search, photograph):
    with pytest.raises(LandmarkError, match=r"q.jpg: box 0,0,900,40: reaches beyond .* 320x320 px"):
        search({"q.jpg": photograph(0)}, Framing((0, 0, 900, 40)))


@pytest.mark.parametrize("lies", [90, 180, 270])
def test_a_photograph_that_lies_on_its_side_is_found_and_only_it_is_turned(
    search, s3, database, photograph, lies
):
    """Among three: one upright, one of no place. Cleared, the run says the same."""
    on_its_side = jpeg(np.rot90(pixels_of(photograph(1, -1)), lies // 90))
    objects = {
        "upright.jpg": photograph(0, -1),
        "side.jpg": on_its_side,
        "nowhere.jpg": photograph(77),
    }
    found, answer = search(objects, add_to_index=True)
    assert search.looked == [3, 6]  # three turns of each of two
    upright, side, nowhere = (read_result(s3, one.folder) for one in found.searches)
    assert upright.framing == nowhere.framing == WHOLE
    assert upright.verdict == "match" and nowhere.verdict != "match"
    assert side.verdict == "match" and set(places_of(side)) == {"1"}
    assert side.framing == Framing(None, lies, True) == found.searches[1].framing
    told = f"# turn: found when turned by {lies} degrees clockwise"
    assert told in side.to_text().decode().splitlines()
    assert answer["searches"] == found.counts and found.counts["match"] == 2
    # What is in the table is the photograph as it lies in S3.
    row = find_image(database, found.searches[1].query, side.model)
    assert row is not None
    query = read_query(s3, found.searches[1].folder)
    assert query.to_bytes() == row[1].to_bytes()
    assert not query.same_as(read_query(s3, found.searches[1].folder, TURNED_QUERY))
    before = side.to_json()
    found, _ = search.again(found.folder)
    assert read_result(s3, found.searches[1].folder).to_json() == before


def test_chance_is_counted_for_every_look(search, s3, photograph, database, dask_client):
    on_its_side = jpeg(np.rot90(pixels_of(photograph(1, -1))))
    tried, _ = search({"side.jpg": on_its_side})
    asked, _ = search({"side.jpg": on_its_side}, Framing(turn=90), turns=False)
    tried, asked = (read_result(s3, one.folder) for one in (tried, asked))
    assert asked.framing == Framing(turn=90) and search.looked == [1, 3, 1]
    assert "# turn: turned by 90 degrees clockwise" in asked.to_text().decode().splitlines()
    assert [match.inliers for match in tried.matches] == [match.inliers for match in asked.matches]
    for one, other in zip(tried.matches, asked.matches, strict=True):
        assert one.expected == pytest.approx(4 * other.expected)


def test_what_finds_a_match_or_is_turned_by_hand_is_not_tried(search, photograph):
    search({"q.jpg": photograph(0, -1)})
    search({"nowhere.jpg": photograph(77)}, turns=False)
    assert search.looked == [1, 1]


def test_a_photograph_that_has_gone_meanwhile_keeps_its_result(search, s3, photograph, monkeypatch):
    from landmark.search import turning
    from landmark.storage.bucket import ObjectMissing

    def gone(client, path):
        raise ObjectMissing(f"{path}: there is no such object")

    monkeypatch.setattr(turning, "read_etag", gone)
    found, answer = search({"nowhere.jpg": photograph(77)})
    assert answer["verdict"] == read_result(s3, found.folder).verdict != "match"


def test_another_model_since_turns_nothing(bundled_model):
    def rank(queries):
        raise AssertionError("compared")

    searches = Searches.plan("run", "s3://b/r/", "s3://b/q.jpg", [("s3://b/q.jpg", None)]).searches
    assert (
        list(rank_turned(None, load_extractor, lambda: bundled_model, "another", rank, searches))
        == []
    )


def test_the_pair_is_drawn_as_it_was_compared(
    search, s3, database, prefix, photograph, bundled_model, extractor
):
    """Turned, and the lines begin inside the box."""
    base = prefix({"images/a.jpg": photograph(1, 1)})
    path = base + "images/a.jpg"
    etag = s3.head_object(Bucket="landmark", Key=path[14:])["ETag"].strip('"')
    features = extractor.extract(photograph(1, 1), "a")
    save_image(database, path, bundled_model.fingerprint, etag, features)
    lying = np.rot90(pixels_of(photograph(1, -1)))  # turned clockwise it is upright
    found, _ = search({"side.jpg": jpeg(lying)}, Framing((0, 0, 320, 220)))
    result = read_result(s3, found.folder)
    assert result.framing == Framing((0, 0, 320, 220), 90, True)
    rank = [match.image_path for match in result.matches].index(path) + 1
    ((_, match, [pair]),) = read_pairs(database, s3, found.folder, [rank])
    assert len(pair.query_locations) == match.inliers > 20
    y0, x0, y1, x1 = result.framing.extent(320, 320)
    y, x = pair.query_locations.T
    assert (y0 <= y.min() and y.max() <= y1) and (x0 <= x.min() and x.max() <= x1)
    # Upright, both show the same: the lines hardly lean.
    assert np.abs(pair.query_locations - pair.image_locations).mean() < 0.15
    (joined,) = find_lines(database, s3, found.folder, rank)
    assert joined.query_size == joined.image_size == (320, 320)
    assert np.array_equal(joined.query_locations, pair.query_locations)
    drawn = draw_pair(database, s3, found.folder, rank, 512, 300)
    assert Image.open(io.BytesIO(drawn)).format == "JPEG"


def test_features_of_a_part_are_those_of_the_part_alone(
    s3, prefix, extractor, bundled_model, photograph
):
    body = photograph(3, 0, 640)
    base = prefix({"q.jpg": body})
    part = Framing((100, 50, 500, 450))
    decode = partial(decode_framed, framing=part, max_size_px=bundled_model.max_image_size_px)
    found = ImageReader(s3, extractor).read(S3Object(base + "q.jpg", "", 0), decode).features
    alone = extractor.extract_pixels(pixels_of(body)[50:450, 100:500], "part")
    assert isinstance(found, LocalFeatures) and found.to_bytes() == alone.to_bytes()
    pairs, verification = compare(found, extractor.extract(body, "whole"))
    assert len(verification.inliers) > 0.3 * len(found) and len(pairs)
