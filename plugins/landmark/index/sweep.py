"""A sweep: the bucket's listing compared with the table before, what became of it after."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landmark.errors import LandmarkError, ServerFault
from landmark.index.listing import Listing
from landmark.settings import EXCLUDE
from landmark.storage.bucket import BucketMissing, ObjectRefused
from landmark.storage.database import Database
from landmark.storage.failures import failures_by_reason
from landmark.storage.listings import compare_listing
from landmark.storage.sweeps import Sweep, close_sweep, find_sweep, note_passed_over

logger = logging.getLogger(__name__)

# Fewer never fail a sweep, whatever their share: of one new image, one may be broken.
FAILURES_TO_TELL = 20
REASONS_TOLD = 3
# Of a sweep; so many changed etags are the server's doing rather than somebody's.
MOST_OF_THEM = 0.5


def plan_sweep(
    database: Database,
    client: Any,
    sweep: str,
    model: str,
    images: str,
    results: str,
    max_batches: int,
    retry_failures: bool = False,
    max_removed_share: float = 1,
    exclude: Sequence[str] = EXCLUDE,
    at_once: int = 1,
) -> list[int]:
    """Compare the bucket with the table, drop what is gone, and note what is to be extracted.

    Parameters
    ----------
    max_removed_share : float
        Of the rows below `images`; where more would go, all stay, and `finish_sweep` tells.
    exclude : sequence of str
        Patterns of what is no photograph, whatever it holds.
    at_once : int
        Batches that are extracted at once.

    Returns
    -------
    list of int
        Images in each batch.

    Raises
    ------
    LandmarkError
        If the images lie among the results, which are no photographs to find.
    ServerFault
        If the bucket cannot be listed, or what is listed is no listing.
    """
    if images.startswith(results):
        raise LandmarkError(
            f"LANDMARK_IMAGES {images} lies inside LANDMARK_RESULTS {results}; move one of them"
        )
    listing = Listing(client, images, results, exclude)
    try:
        batches = compare_listing(
            database, sweep, model, images, listing, max_batches, retry_failures,
            max_removed_share, listing.others, at_once,
        )  # fmt: skip
    except (BucketMissing, ObjectRefused) as error:  # said of the bucket, it may pass
        raise ServerFault(str(error)) from error
    except (BotoCoreError, ClientError) as error:
        raise ServerFault(f"{images}: {error}") from error
    note_passed_over(database, sweep, listing.passed_over)
    logger.info("%d images to extract in %d batches", sum(batches), len(batches))
    planned = find_sweep(database, sweep)
    _warn_of_postponed(planned)
    if planned.same_size > MOST_OF_THEM * planned.seen:
        logger.warning(
            "%d of %d images have another etag than before and the same size: was the bucket "
            "copied, or does its server make up etags? All of them are extracted again",
            planned.same_size, planned.seen,
        )  # fmt: skip
    return batches


def finish_sweep(database: Database, sweep: str, max_failed_share: float = 1) -> Sweep:
    """Say what a sweep did.

    Parameters
    ----------
    max_failed_share : float
        Of the images tried, 0 to 1.

    Raises
    ------
    LandmarkError
        If some of its images are not settled: a batch failed. If more failed than may, and at
        least `FAILURES_TO_TELL`; counts their reasons. If rows were kept that are not listed.
    """
    result = close_sweep(database, sweep)
    settled = result.indexed + result.failed + result.gone
    logger.info(
        "%d images seen: %d new, %d changed, %d tried again, %d removed;"
        " %d indexed and %d failed in %.0f s (%.2f images/s)",
        result.seen, result.new, result.changed, result.retried, result.removed,
        result.indexed, result.failed, result.seconds, settled / max(result.seconds, 1e-9),
    )  # fmt: skip
    if result.passed_over:
        counts = sorted(result.passed_over.items(), key=lambda one: (-one[1], one[0]))
        logger.info("passed over: %s", ", ".join(f"{n} {reason}" for reason, n in counts))
    if result.gone:
        logger.info("%d images were deleted, or removed, after they were listed", result.gone)
    _warn_of_postponed(result)
    if result.left:
        raise LandmarkError(
            f"{result.left} images of this sweep are left, since a batch failed; see its log, "
            f"then run landmark_index again: it goes on with them"
        )
    tried = result.indexed + result.failed
    if result.failed >= FAILURES_TO_TELL and result.failed > max_failed_share * tried:
        reasons = failures_by_reason(database, sweep)
        told = [f"{reason.images} {reason.reason}" for reason in reasons[:REASONS_TOLD]]
        if others := sum(reason.images for reason in reasons[REASONS_TOLD:]):
            told.append(f"{others} for other reasons")
        raise LandmarkError(
            f"{result.failed} of {tried} images failed, more than LANDMARK_MAX_FAILED_SHARE "
            f"{max_failed_share:g}: {' | '.join(told)}; mend the cause, then run landmark_index "
            f"with retry failures"
        )
    if result.withheld:
        raise LandmarkError(
            f"{result.withheld} of the {result.had} images that were indexed are not listed any "
            f"more, and nothing was removed, as that may be the listing's fault; where they are "
            f"really gone, trigger landmark_index with allow_removals"
        )
    return result


def threads_per_batch(batches: int, at_once: int, cores: int) -> int:
    """Threads that compute in each of some batches, so that those at once share the cores."""
    return -(-cores // max(1, min(at_once, batches)))


def _warn_of_postponed(sweep: Sweep) -> None:
    if sweep.postponed:
        logger.warning(
            "%d images are left for the next sweep, as Airflow maps no more batches: it takes them "
            "tonight, or at once if you trigger landmark_index again",
            sweep.postponed,
        )
