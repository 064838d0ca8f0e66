"""S3, on a real server over HTTP."""

from dataclasses import replace

import pytest

from benchmarks.faults.proxy import Fault, fault_proxy
from landmark.errors import LandmarkError, ServerFault, UnusableImage
from landmark.index.listing import Listing, is_image
from landmark.storage.bucket import (
    BodyFault,
    ObjectMissing,
    list_objects,
    read_etag,
    read_object,
    split_path,
    write_object,
)
from stack.servers import start_s3

KEYS = ["plain.jpg", "with space.jpg", "ünïcode/日本.jpg", "a+b%20c.jpg", "q?x=1&y#z.jpg"]


def test_what_is_written_is_read_and_listed(s3, prefix):
    base = prefix()
    for number, key in enumerate(KEYS):
        write_object(s3, base + key, bytes([number]) * 10, "image/jpeg")
    listed = {entry.path: entry for entry in list_objects(s3, base)}
    assert set(listed) == {base + key for key in KEYS}
    for number, key in enumerate(KEYS):
        body, etag = read_object(s3, base + key)
        assert body == bytes([number]) * 10
        assert etag == listed[base + key].etag == read_etag(s3, base + key)
        assert '"' not in etag and listed[base + key].size == 10


def test_a_listing_is_streamed_page_by_page(s3_server, prefix):
    base = prefix({f"{number:04d}.jpg": b"x" for number in range(1005)})
    client = s3_server.client()
    pages = []
    client.meta.events.register("after-call.s3.ListObjectsV2", lambda **_: pages.append(1))
    entries = list_objects(client, base)
    next(entries)
    assert len(pages) == 1
    assert sum(1 for _ in entries) == 1004 and len(pages) == 2


def test_an_empty_prefix_lists_nothing(s3, prefix):
    assert list(list_objects(s3, prefix())) == []


@pytest.mark.parametrize("read", [read_object, read_etag])
def test_a_missing_object_is_named(s3, prefix, read):
    with pytest.raises(ObjectMissing, match="nothing-here.jpg: there is no such object"):
        read(s3, prefix() + "nothing-here.jpg")


def test_a_missing_bucket_is_named(s3):
    with pytest.raises(LandmarkError, match="no-such-bucket/: there is no such bucket"):
        list(list_objects(s3, "s3://no-such-bucket/"))


def test_a_name_that_no_bucket_can_have_is_named(s3):
    with pytest.raises(LandmarkError, match=r"s3://my photos/x.jpg: .*bucket name.*; check the"):
        read_etag(s3, "s3://my photos/x.jpg")


def test_writing_to_a_missing_bucket_names_it(s3):
    with pytest.raises(LandmarkError, match="s3://no-such-bucket/x: there is no such bucket"):
        write_object(s3, "s3://no-such-bucket/x", b"", "text/plain")


def test_a_stranger_is_told_what_to_allow(s3_server):
    with start_s3() as other:
        stranger = replace(s3_server, port=other.port).client()
        with pytest.raises(ServerFault, match="InvalidAccessKeyId; check the connection's keys"):
            list(list_objects(stranger, "s3://landmark/"))


def test_a_huge_object_is_refused_before_it_is_read(s3, prefix):
    path = prefix({"huge.jpg": b"x" * 5000}) + "huge.jpg"
    with pytest.raises(UnusableImage, match="5,000 bytes, more than the 4,999"):
        read_object(s3, path, max_bytes=4999)


@pytest.mark.parametrize("path", ["http://b/k", "b/k", "s3://", "s3:///k", ""])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(LandmarkError, match="no S3 path"):
        split_path(path)


def test_a_bucket_alone_is_no_object(s3):
    with pytest.raises(LandmarkError, match="names a bucket"):
        read_object(s3, "s3://landmark")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.jpg", True),
        ("a/b.JPEG", True),
        ("a/b.tar.png", True),
        ("a/no-suffix", True),
        ("a.b/no-suffix", True),
        ("a/.hidden", True),
        ("a/notes.txt", False),
        ("a/", False),
    ],
)
def test_what_is_taken_for_a_photograph(name, expected):
    assert is_image("s3://b/" + name) is expected


def test_our_own_results_are_no_photographs(s3, prefix):
    base = prefix({"a.jpg": b"x", "notes.txt": b"x", "results/run/matches/001.jpg": b"x"})
    found = [entry.path for entry in Listing(s3, base, base + "results/")]
    assert found == [base + "a.jpg"]


def test_what_breaks_off_in_its_middle_is_read_again(s3_server, prefix, monkeypatch):
    monkeypatch.setattr("landmark.storage.bucket.PAUSES_S", (0, 0))
    base = prefix({"a.jpg": bytes(range(256)) * 100})
    with fault_proxy(s3_server.port) as proxy:
        client = replace(s3_server, port=proxy.server_port).client()
        proxy.begin(Fault(cut=True, every=2))
        assert read_object(client, base + "a.jpg")[0] == bytes(range(256)) * 100
        assert proxy.faulty == 1
        proxy.begin(Fault(cut=True))
        with pytest.raises(BodyFault, match="a.jpg: breaks off each time"):
            read_object(client, base + "a.jpg")
        assert proxy.faulty == 4
