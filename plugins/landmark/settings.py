"""Every setting, typed: from the environment (`LANDMARK_*`), or from Airflow Variables of the
same names, which win where set (the DAGs pass them in; this module does not know Airflow).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from landmark.errors import LandmarkError

PREFIX = "LANDMARK_"
S3_PREFIX = r"^s3://[^/]+/(.*/)?$"
EVERYWHERE = "s3://"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"

#: What systems put beside photographs: macOS, Synology, recycle bins, thumbnails of programs.
EXCLUDE = (
    "._*", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/", ".AppleDouble/", "@eaDir/",
    "#recycle/", "$RECYCLE.BIN/", ".Trash*/", ".thumbnails/", ".thumbs/", "thumbnails/", "thumbs/",
)  # fmt: skip
#: Instead of patterns: nothing is excluded.
NOTHING = "none"


class Settings(BaseSettings):
    """The settings of one deployment.

    The four extraction settings and the distance default to what the model itself says (`None`
    here): the bundled model brings a file with its own, others get those of Google's DELF.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    model: str = Field(
        "https://tfhub.dev/google/delf/1",
        description="TF-Hub handle, or path of a SavedModel with a DELF or DELG signature.",
    )
    images: str = Field(
        "s3://landmark/images/",
        pattern=S3_PREFIX,
        description="Where the photographs lie; swept by `landmark_index`.",
    )
    results: str = Field(
        "s3://landmark/results/", pattern=S3_PREFIX, description="Where each search writes."
    )
    uploads: str | None = Field(
        None,
        pattern=S3_PREFIX,
        description="Where photographs go that are uploaded to search for; unset: no uploads. "
        "Inside `images`, the nightly sweep indexes them all.",
    )
    uploads_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Uploads that are older and not in the index go with the nightly run; unset: "
        "they stay.",
    )
    results_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Results that are older go with the nightly run; unset: they stay.",
    )
    queries: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Where photographs may lie that are searched for: prefixes, comma separated; "
        "`s3://` is everywhere. By default the buckets of `images` and `uploads`.",
    )
    dask: str = Field(
        "local",
        pattern=r"^(local|kubernetes|(tcp|tls)://.+)$",
        description="`local`, a scheduler's `tls://host:port`, or `kubernetes`.",
    )
    dask_cache_mb: int | None = Field(
        None,
        ge=0,
        description="MB of the table that each worker of a scheduler keeps in memory for the next "
        "search; by default a quarter of its memory limit.",
    )
    dask_postgres_conn_id: str | None = Field(
        None,
        description="Airflow connection that the workers are given, of a role that may only read; "
        "unset: that of `postgres_conn_id`.",
    )
    dask_namespace: str = Field(
        "landmark", pattern=r"^[a-z0-9-]+$", description="Kubernetes: where the pods run."
    )
    dask_image: str | None = Field(
        None, description="Kubernetes: the image of the Dockerfile, in your registry."
    )
    dask_secret: str = Field(
        "landmark-postgres",
        pattern=r"^[a-z0-9.-]+$",
        description="Kubernetes: the Secret with `PGHOST`, `PGUSER`, `PGPASSWORD` and so on.",
    )
    dask_min_workers: int = Field(1, ge=1, description="Kubernetes: workers from the start.")
    dask_max_workers: int = Field(10, ge=1, description="Kubernetes: workers under load.")
    dask_worker_cpu: str = Field(
        "1", pattern=QUANTITY, description="Kubernetes: of each pod, requested and allowed."
    )
    dask_worker_memory: str = Field(
        "4Gi", pattern=QUANTITY, description="Kubernetes: of each pod, requested and allowed."
    )
    dask_start_timeout_s: int = Field(
        300, ge=1, description="Kubernetes: until the scheduler and the first worker run."
    )
    shortlist: int = Field(
        300, ge=1, le=100_000, description="Images that a search in that mode compares."
    )
    links: int = Field(
        30,
        ge=0,
        le=1_000,
        description="Most alike images that each image is compared with when it is indexed, for "
        "the match graph; 0: no graph.",
    )
    exclude: Annotated[tuple[str, ...], NoDecode] = Field(
        EXCLUDE,
        description="Files that are no photographs whatever they hold: patterns, comma separated; "
        "one that ends in `/` is of folders. `none`: nothing is excluded.",
    )
    coordinates: bool = Field(
        True,
        description="Keep where photographs say that they were taken (EXIF); no: of none that is "
        "read from now on.",
    )
    max_queries: int = Field(
        1_000,
        ge=1,
        le=10_000,
        description="Photographs that one run may search for: two cores compare so many with "
        "20,000 images in an hour or two, and a task has six.",
    )
    postgres_conn_id: str = Field("landmark_postgres", description="Airflow connection.")
    aws_conn_id: str = Field("landmark_s3", description="Airflow connection.")
    max_image_size: int | None = Field(
        None, ge=32, le=8192, description="Longest side, in px, that the model sees."
    )
    image_scales: Annotated[tuple[float, ...] | None, NoDecode] = Field(
        None, description="The image pyramid: scales relative to that size, comma separated."
    )
    max_features: int | None = Field(None, ge=1, le=20_000, description="Features an image.")
    score_threshold: float | None = Field(
        None, ge=0, description="Attention below which a feature is dropped."
    )
    max_distance: float | None = Field(
        None, gt=0, le=2, description="Largest distance between the descriptors of a match."
    )
    max_removed_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Of the indexed images that one sweep may remove unasked; where more are not "
        "listed, all stay, and its summary fails.",
    )
    max_failed_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Of the images that a sweep has tried; where more fail, its summary fails.",
    )

    @property
    def query_prefixes(self) -> tuple[str, ...]:
        """Below which a photograph must lie to be searched for."""
        if self.queries is not None:
            return self.queries
        homes = [home for home in (self.images, self.uploads) if home is not None]
        return tuple(dict.fromkeys("/".join(home.split("/")[:3]) + "/" for home in homes))

    @property
    def shown_prefixes(self) -> tuple[str, ...]:
        """Below which a photograph must lie to be shown."""
        return (*self.query_prefixes, self.images)

    def check_queries(self, asked: str | Sequence[str]) -> None:
        """Refuse paths and prefixes that may not be searched for, before anything of them is read.

        The connection may read more than those who may trigger a search may see.

        Raises
        ------
        LandmarkError
            If one lies outside of `query_prefixes`, or below `results`, where what we draw of
            photographs is, or has a part that some servers resolve.
        """
        for path in [asked] if isinstance(asked, str) else asked:
            if {".", ".."} & set(path.split("/")):
                raise LandmarkError(f"{path}: has a part `.` or `..`; write the object's own path")
            if not path.startswith(self.query_prefixes):
                raise LandmarkError(
                    f"{path}: lies outside of LANDMARK_QUERIES {','.join(self.query_prefixes)}; "
                    f"copy it there, or add its folder to that setting"
                )
            if path.startswith(self.results):
                raise LandmarkError(
                    f"{path}: lies below LANDMARK_RESULTS {self.results}, where no photographs "
                    f"are; name the photograph itself"
                )

    def check_shown(self, path: str) -> None:
        """Refuse a path whose photograph the pages may not show: neither indexed nor a query.

        Raises
        ------
        LandmarkError
            If it lies outside of `images` and may not be searched for either.
        """
        self.model_copy(update={"queries": self.shown_prefixes}).check_queries(path)

    @field_validator("queries", mode="before")
    @classmethod
    def _split_queries(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("queries")
    @classmethod
    def _check_queries(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError("names no prefix; leave it unset for the default")
        for prefix in value or ():
            # Without the slash, s3://bucket/images would open s3://bucket/images-private/ too.
            if prefix != EVERYWHERE and not re.match(S3_PREFIX, prefix):
                raise ValueError(
                    f"{prefix} is no prefix; write s3://bucket/ or s3://bucket/folder/"
                )
        return value

    @field_validator("exclude", mode="before")
    @classmethod
    def _split_exclude(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        patterns = [part.strip() for part in value.split(",") if part.strip()]
        return [] if patterns == [NOTHING] else patterns

    @field_validator("exclude")
    @classmethod
    def _check_exclude(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not pattern.strip("/*"):
                raise ValueError(f"{pattern} excludes everything; write a name, such as thumbs/")
        return value

    @field_validator("dask_max_workers")
    @classmethod
    def _check_workers(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("dask_min_workers", 1)
        if value < least:
            raise ValueError(f"must be at least LANDMARK_DASK_MIN_WORKERS, {least}")
        return value

    @field_validator("image_scales", mode="before")
    @classmethod
    def _split_scales(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value

    @field_validator("image_scales")
    @classmethod
    def _check_scales(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not (value and all(0.05 <= scale <= 4 for scale in value)):
            raise ValueError("each scale must lie between 0.05 and 4")
        return value


def load_settings(lookup: Callable[[str], str | None] = lambda name: None) -> Settings:
    """The settings of this process.

    Parameters
    ----------
    lookup : callable
        Gives the value of a name such as ``LANDMARK_MODEL``, or None to leave it to the
        environment; the DAGs pass a look-up of Airflow Variables.

    Raises
    ------
    LandmarkError
        If a value is not of its setting's form; names the setting and the reason.
    """
    found: dict[str, Any] = {name: lookup(PREFIX + name.upper()) for name in Settings.model_fields}
    try:
        return Settings(**{name: value for name, value in found.items() if value})
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise LandmarkError(
            f"{name}={first['input']!r}: {first['msg']}; set it in the environment "
            f"or as an Airflow Variable"
        ) from None
