"""What is told of long work, and when."""

import pytest

from landmark import progress
from landmark.progress import Progress


@pytest.fixture
def now(monkeypatch, caplog) -> list[float]:
    """The time, for a test to set; lines are in `caplog`."""
    caplog.set_level("INFO", "landmark.progress")
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_what_is_over_at_once_is_not_told(now, caplog):
    told: list[int] = []
    work = Progress(10, "images", lambda done: told.append(done.done), interval_s=10)
    work.add(10)
    assert told == [] and caplog.messages == ["10 of 10 images, 10000000000.0/s, 0:00:00 left"]


def test_what_lasts_is_told_after_a_second_and_then_beside_each_line(now, caplog):
    told: list[int] = []
    work = Progress(40, "images", lambda done: told.append(done.done), interval_s=10)
    for _ in range(40):
        now[0] += 0.5
        work.add()
    assert told == [2, 20, 40]
    assert [line.split(" of ")[0] for line in caplog.messages] == ["20", "40"]
