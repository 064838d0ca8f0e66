"""Rows that workers keep from one search to the next: within a limit, and never stale."""

from __future__ import annotations

import numpy as np
import pytest
from dask.distributed import Client
from hosts import loopback_hosts
from tables import toast_blocks, without_autovacuum

from landmark.cluster.client import open_client
from landmark.cluster.workers import preferred_workers
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.settings import Settings
from landmark.storage.connections import close_idle
from landmark.storage.images import record_failure, save_image
from landmark.storage.partitions import list_partitions, read_partition
from landmark.storage.row_cache import RowCache

MODEL = "model-1"
EVERYTHING = range(1, 10_000)


def fill(database, make_view, count, **options):
    for number in range(count):
        save_image(database, f"s3://b/{number:04d}", MODEL, "1", make_view(number, **options))


def same(left, right):
    assert [image.image_path for image in left] == [image.image_path for image in right]
    for one, other in zip(left, right, strict=True):
        assert one.side_px == other.side_px
        for name in ("locations", "descriptors", "scales"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def read(database, cache, ids=EVERYTHING):
    """The images, after checking that they are the table's present ones."""
    images = list(read_partition(database, MODEL, ids, cache))
    same(images, list(read_partition(database, MODEL, ids)))
    return images


def test_what_is_kept_is_not_read_again(database, make_view):
    without_autovacuum(database)
    fill(database, make_view, 20, n=300)
    cache = RowCache(100_000_000)
    list(read_partition(database, MODEL, EVERYTHING, cache=cache))
    before = toast_blocks(database)
    list(read_partition(database, MODEL, EVERYTHING, cache=cache))
    assert toast_blocks(database) == before
    list(read_partition(database, MODEL, EVERYTHING))
    assert toast_blocks(database) > before  # the instrument works


def test_changed_deleted_and_new_rows_are_seen_at_once(database, make_view):
    fill(database, make_view, 6)
    cache = RowCache(100_000_000)
    first = read(database, cache)
    save_image(database, "s3://b/0002", MODEL, "2", make_view(77, n=10))
    record_failure(database, "s3://b/0004", MODEL, "2", "broken")
    save_image(database, "s3://b/0009", MODEL, "1", make_view(9))
    second = read(database, cache)
    assert len(second[2].descriptors) == 10 and len(second) == 6
    # What did not change is the very object that was kept.
    assert second[0] is first[0] and second[1] is first[1]
    save_image(database, "s3://b/0004", MODEL, "3", make_view(4))
    assert len(read(database, cache)) == 7


def test_a_row_changed_by_hand_is_seen_though_its_time_stays(database, make_view):
    fill(database, make_view, 3)
    cache = RowCache(100_000_000)
    read(database, cache)
    with database.connect() as connection:
        connection.execute("UPDATE landmarks SET width = 4000 WHERE image_path = 's3://b/0001'")
    assert [image.side_px for image in read(database, cache)] == [600, 4000, 600]


def test_ids_out_of_several_parts_and_models(database, make_view):
    fill(database, make_view, 10)
    save_image(database, "s3://b/0003", "other", "1", make_view(3, d=4))
    cache = RowCache(100_000_000)
    read(database, cache, [2, 5, 7])
    read(database, cache, [1, 2, 3, 7, 10, 99])
    assert len(read(database, cache)) == 10
    assert len(cache) == 10
    (alone,) = read_partition(database, "other", EVERYTHING, cache=cache)
    assert alone.descriptors.shape[1] == 4


def test_the_limit_holds_and_a_larger_table_still_gains(database, make_view):
    fill(database, make_view, 40, n=300)
    row = 300 * (8 + 32 + 4)
    cache = RowCache(limit_bytes=20 * row)
    for _ in range(3):
        first = read(database, cache)
        assert cache.bytes <= cache.limit_bytes
    assert 15 <= len(cache) <= 20
    again = list(read_partition(database, MODEL, EVERYTHING, cache=cache))
    assert sum(one is other for one, other in zip(first, again, strict=True)) == len(cache)
    cache.limit_bytes = 5 * row
    assert cache.bytes <= 5 * row and len(cache) >= 3
    cache.limit_bytes = 0
    assert cache.bytes == 0 and len(cache) == 0


def test_rows_that_no_search_uses_give_way(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("landmark.storage.row_cache.time.monotonic", lambda: now[0])
    cache = RowCache(100)
    assert cache.keep("old", 1, "v", "a", 60) and cache.keep("old", 2, "v", "b", 40)
    assert not cache.keep("new", 1, "v", "c", 50)
    now[0] = 3000
    assert cache.find("old", {2: "v"}) == {2: "b"}
    now[0] = 4000
    assert cache.keep("new", 1, "v", "c", 50)
    assert cache.find("old", {1: "v", 2: "v"}) == {2: "b"} and cache.bytes == 90
    assert not cache.keep("new", 2, "v", "d", 101)


def test_a_block_keeps_its_worker_when_others_come():
    blocks = list(range(3000))
    three = preferred_workers(blocks, ["tcp://a:1", "tcp://b:1", "tcp://c:1"])
    four = preferred_workers(blocks, ["tcp://a:1", "tcp://b:1", "tcp://c:1", "tcp://d:1"])
    assert all(900 <= three.count(worker) <= 1100 for worker in set(three))
    moved = [new for old, new in zip(three, four, strict=True) if old != new]
    assert set(moved) == {"tcp://d:1"} and 600 <= len(moved) <= 900


def test_an_image_that_goes_changes_only_its_own_block(database, make_view):
    fill(database, make_view, 40, n=3)
    before = {part.block: part for part in list_partitions(database, MODEL, 8)}
    record_failure(database, "s3://b/0011", MODEL, "2", "broken")
    after = {part.block: part for part in list_partitions(database, MODEL, 8)}
    changed = [block for block in before if before[block] != after[block]]
    assert len(before) == 6 and before.keys() == after.keys() and len(changed) == 1


@pytest.mark.parametrize("images", [1, 8])
def test_blocks_are_wide_where_many_ids_have_no_row(database, make_view, images):
    fill(database, make_view, 64, n=3)
    with database.connect() as connection:
        connection.execute("DELETE FROM landmarks WHERE id % 4 <> 0 AND id <= 48")
    parts = list_partitions(database, MODEL, images)
    assert sum(part.images for part in parts) == 12 + 16
    assert max(part.images for part in parts) <= images
    assert len(parts) <= 28 / images * 2 + 1


def test_the_second_search_reads_nothing_and_sees_every_change(
    database, make_view, tmp_path, monkeypatch
):
    monkeypatch.setattr("landmark.search.fanout.IMAGES_PER_TASK", 16)
    without_autovacuum(database)
    fill(database, make_view, 400, n=300)
    save_image(database, "s3://b/other-view", MODEL, "1", make_view(7, 1, n=300))
    query = make_view(7, 2, n=300)

    def paths(client):
        result = rank_alone(database, client, MODEL, Query("s3://b/query", query), 100)
        return [match.image_path for match in result.matches]

    with loopback_hosts(tmp_path, 2, net=78) as hosts:
        # A worker that idles would take the other's parts: how many is a matter of luck.
        address = hosts[0].scheduler(DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING="False")
        for host in hosts:
            host.worker(address)
        with Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        blocks = []
        for _ in range(3):
            with open_client(address) as client:
                before = toast_blocks(database)
                assert sorted(paths(client)) == ["s3://b/0007", "s3://b/other-view"]
                client.run(close_idle)
                blocks.append(toast_blocks(database) - before)
        assert blocks[0] > 400 and blocks[1:] == [0, 0]

        with open_client(address) as client:
            record_failure(database, "s3://b/other-view", MODEL, "1", "gone")
            save_image(database, "s3://b/0007", MODEL, "2", make_view(500))
            save_image(database, "s3://b/0008", MODEL, "2", make_view(7, 3, n=300))
            save_image(database, "s3://b/new", MODEL, "2", make_view(7, 4, n=300))
            assert sorted(paths(client)) == ["s3://b/0008", "s3://b/new"]

        def kept():
            from landmark.storage.row_cache import ROWS

            return ROWS.bytes, ROWS.limit_bytes

        with open_client(address, Settings(dask_cache_mb=1)) as client:
            paths(client)
            found = client.run(kept).values()
            assert all(0 < size <= limit == 1_000_000 for size, limit in found)
        with open_client(address, Settings(dask_cache_mb=0)) as client:
            client.run(close_idle)
            before = toast_blocks(database)
            paths(client)
            client.run(close_idle)
            assert toast_blocks(database) - before >= blocks[0] * 0.9
            assert set(client.run(kept).values()) == {(0, 0)}
