"""What puts images on a shortlist, made for every image of a model that lacks it.

Killed and run again, it goes on where it stopped. `landmark_index` does it every night, and
measures what descriptions are made by when the table has grown tenfold.
"""

from __future__ import annotations

import logging

from landmark.matching.aggregation import Aggregation
from landmark.progress import Progress
from landmark.storage import descriptions
from landmark.storage.aggregations import (
    NumberedAggregation,
    add_aggregation,
    current_aggregation,
    drop_aggregation,
    keep_kernel,
    known_aggregations,
    own_dimensions,
)
from landmark.storage.database import Database
from landmark.storage.images import count_images
from landmark.storage.nearest import build_index, drop_index
from landmark.storage.partitions import read_partition, sample_ids

logger = logging.getLogger(__name__)

# Up to here every image is compared (`auto`), and the nearest are found without an index.
EXHAUSTIVE_UP_TO = 20_000

# Images that an aggregation is measured on; some 150 KB of memory each.
SAMPLE_IMAGES = 2_000
# Measured anew when the table has grown so many times, until the sample is full.
GROWTH = 10
ROWS_AT_ONCE = 64
# What pgvector may take to build an index in memory, which is many times faster than on disk;
# enough for a million images.
INDEX_MEMORY_MB = 1536


def describe_table(database: Database, model: str, measure: bool = False) -> int:
    """Give every image of a model a global descriptor of the model's current aggregation.

    One process at a time; another waits.

    Parameters
    ----------
    model : str
        Fingerprint.
    measure : bool
        Measure a new aggregation, even if there is a good one.

    Returns
    -------
    int
        The images described by this call.
    """
    with database.alone(f"describing images of {model}"):
        return _describe_table(database, model, measure)


def _describe_table(database: Database, model: str, measure: bool) -> int:
    aggregation = _current(database, model, measure)
    if aggregation is None:
        logger.info("no global descriptors yet: too few images of the model %s", model)
        return 0
    damaged = descriptions.forget_damaged(database, aggregation)
    if damaged:
        logger.warning("%d descriptions of images were damaged; made anew where they can", damaged)
    keep_kernel(database, aggregation)
    if aggregation.parameters is None:
        described = descriptions.take_own_descriptions(database, model, aggregation.number)
    else:
        described = _describe(database, model, aggregation)
    for old in known_aggregations(database, model, whole=False)[1:]:
        if drop_aggregation(database, old.number):
            drop_index(database, old.number)
    if (
        descriptions.count_described(database, model, aggregation.number, EXHAUSTIVE_UP_TO + 1)
        > EXHAUSTIVE_UP_TO
    ):
        logger.info("indexing global descriptors")
        build_index(database, aggregation, INDEX_MEMORY_MB)
    logger.info("%d images described", described)
    return described


def _current(database: Database, model: str, measure: bool) -> NumberedAggregation | None:
    """The model's aggregation, measured where there is none or it is outgrown."""
    known = current_aggregation(database, model)
    if known is not None and known.parameters is None:
        return known
    enough = SAMPLE_IMAGES if known is None else min(GROWTH * known.images, SAMPLE_IMAGES)
    images = count_images(database, model, up_to=SAMPLE_IMAGES)
    outgrown = known is None or known.kernel is None or known.images < enough <= images
    if not outgrown and not measure:
        return known
    dimensions = own_dimensions(database, model) if known is None else None
    if dimensions is not None:
        add_aggregation(database, model, dimensions, images, None)
    else:
        ids = sample_ids(database, model, SAMPLE_IMAGES)
        logger.info("measuring what global descriptors are made by, on %d images", len(ids))
        parameters = Aggregation.fit(
            lambda: (image.descriptors for image in read_partition(database, model, ids))
        )
        if parameters is None:
            return known
        add_aggregation(database, model, parameters.dimensions, images, parameters)
    return current_aggregation(database, model)


def _describe(database: Database, model: str, aggregation: NumberedAggregation) -> int:
    assert aggregation.parameters is not None
    # What nothing has described, and what an older aggregation has; never a look at all the rest.
    others = [None, *(old.number for old in known_aggregations(database, model, whole=False)[1:])]
    left = sum(descriptions.count_described(database, model, other) for other in others)
    progress = Progress(left, "images described")
    for other in others:
        last = 0
        while images := descriptions.described_by(database, model, other, last, ROWS_AT_ONCE):
            descriptions.save_descriptions(
                database,
                aggregation.number,
                [
                    (number, etag, aggregation.describe_local(found))
                    for number, etag, found in images
                ],
            )
            last = images[-1][0]
            progress.add(len(images))
    return progress.done
