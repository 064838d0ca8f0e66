"""One photograph of a run, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from landmark.matching.ranking import FAILED
from landmark.search.framing import WHOLE, Framing
from landmark.search.result import JSON, QUERY, TEXT, TURNED_QUERY, SearchResult


@dataclass(frozen=True)
class Search:
    """One photograph of a run, and what became of it.

    Parameters
    ----------
    query : str
        ``s3://bucket/key``; or a prefix below which nothing was found.
    folder : str
        ``s3://bucket/…/``: where its result is.
    is_read : bool
        Whether its features lie there.
    outcome : str or None
        The verdict, or ``failed``; None as long as it is not known.
    reason : str or None
        Why it failed.
    inliers, best : int, str or None
        Of the best match.
    matches, images_compared : int
        How many were ranked, and of how many.
    framing : Framing
        What of the photograph is compared.
    """

    query: str
    folder: str
    is_read: bool = False
    outcome: str | None = None
    reason: str | None = None
    inliers: int = 0
    best: str | None = None
    matches: int = 0
    images_compared: int = 0
    framing: Framing = WHOLE

    def failed(self, reason: str) -> Search:
        """The same, failed."""
        return replace(self, outcome=FAILED, reason=reason)

    def found(self, result: SearchResult) -> Search:
        """The same, with its result."""
        return replace(
            self,
            outcome=result.verdict,
            reason=None,
            inliers=max((match.inliers for match in result.matches), default=0),
            best=result.matches[0].image_path if result.matches else None,
            matches=len(result.matches),
            images_compared=result.images_compared,
            framing=result.framing,
        )

    @property
    def is_unmatched(self) -> bool:
        """Whether it was compared, and nothing is sure."""
        return self.outcome not in (None, "match", FAILED)

    @property
    def files(self) -> list[str]:
        """What has been written of it, but for pictures."""
        names = [QUERY] if self.is_read else []
        if self.outcome not in (None, FAILED):
            names += [JSON, TEXT, *([TURNED_QUERY] if self.framing.is_found else [])]
        return [self.folder + name for name in names]
