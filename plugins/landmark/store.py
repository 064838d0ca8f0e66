"""The tables of `include/sql`: all SQL of indexing and searching stands here."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import DTypeLike, NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import sql
from typing_extensions import LiteralString

from landmark.aggregation import Aggregation
from landmark.bucket import S3Object
from landmark.connections import connect
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.match_kernel import MatchKernel
from landmark.row_cache import RowCache

logger = logging.getLogger(__name__)

SQL = Path(__file__).resolve().parents[2] / "include" / "sql"

# Any fixed number does: it keeps two processes from migrating at once, and is the class of locks
# that keep them from other work.
MIGRATION_LOCK = 0x6C616E64
LOCK_POLL_S = 2.0

# Of what `read_partition` selects.
ROW_TYPES = ("int8", "text", "timestamptz", "text", "int4", "int4", "bytea", "bytea", "bytea")

# Candidates that a search of the index holds: with few it misses some of the nearest. The most is
# pgvector's; further rows it reads from the index as it needs them.
MIN_EF_SEARCH, MAX_EF_SEARCH = 200, 1000
# More are found sooner, and surely, by a look at every row.
NEAREST_BY_INDEX = 5_000
# What Python adds to a row's arrays: their objects, its path, its place in a cache.
ROW_OVERHEAD_BYTES = 1500


class Partition(NamedTuple):
    """A part of the table that one task reads.

    Parameters
    ----------
    ids : range or list of int
        A range may hold ids of other models, or of no row.
    images : int
        The rows of the model among them.
    block : int
        The same from search to search for the same part of the table.
    """

    ids: range | list[int]
    images: int
    block: int = 0


class Contents(NamedTuple):
    """What the table holds of one model besides the image of a path.

    Parameters
    ----------
    has_path : bool
        Whether it holds that image, too.
    images : int
        Others; counted only so far as was asked.
    newest : datetime or None
        When one of them was indexed last; None if there is none.
    """

    has_path: bool
    images: int
    newest: datetime | None


class Description(NamedTuple):
    """What puts an image on a shortlist.

    Parameters
    ----------
    vector : float16 array [g]
        Global descriptor.
    sketch : bytes or None
        See `landmark.match_kernel`.
    """

    vector: NDArray[np.float16]
    sketch: bytes | None = None


class NumberedAggregation(NamedTuple):
    """What a model's global descriptors are made by.

    Parameters
    ----------
    number : int
        Global descriptors of different numbers are never compared.
    dimensions : int
        Of the global descriptors.
    images : int
        That the model had when this was measured.
    parameters : Aggregation or None
        None: the model gives global descriptors of its own.
    """

    number: int
    dimensions: int
    images: int
    parameters: Aggregation | None

    @property
    def kernel(self) -> MatchKernel | None:
        """What orders those that are nearest by global descriptor; None: nothing else does."""
        return self.parameters.kernel if self.parameters else None

    def describe(self, features: LocalFeatures) -> Description | None:
        """What puts an image on a shortlist, None if nothing does."""
        if self.parameters is not None:
            return self.describe_local(features.descriptors)
        if features.global_descriptor is None:
            return None
        return Description(features.global_descriptor)

    def describe_local(self, descriptors: NDArray[np.floating]) -> Description | None:
        """The same, of local descriptors [n, d] by the aggregation's parameters."""
        assert self.parameters is not None
        if not len(descriptors):
            return None
        sketch = self.kernel.sketch(descriptors).to_bytes() if self.kernel else None
        return Description(self.parameters.describe(descriptors), sketch)


class StoredImage(NamedTuple):
    """What matching needs of one row.

    Parameters
    ----------
    image_path : str
    side_px : int
        The original image's longest side.
    locations : float32 array [n, 2]
        (y, x) px in the original image.
    descriptors : float16 array [n, d]
    scales : float32 array [n]
        As of `LocalFeatures`.
    id : int
        Of the row.
    """

    image_path: str
    side_px: int
    locations: NDArray[np.float32]
    descriptors: NDArray[np.float16]
    scales: NDArray[np.float32]
    id: int = 0


class Sweep(NamedTuple):
    """How a listing differs from the table, and what became of it.

    Parameters
    ----------
    seen : int
        Images listed.
    new, changed, retried : int
        Images to extract: never indexed, of another etag than indexed, failed earlier.
    removed : int
        Rows deleted since their object is gone.
    postponed : int
        Images left for the next sweep, as they would not fit into the batches allowed.
    indexed, failed, gone : int
        Images settled so far: features written, recorded as a failure, deleted meanwhile.
    seconds : float
        Since it was planned.
    """

    seen: int
    new: int
    changed: int
    retried: int
    removed: int
    postponed: int
    indexed: int
    failed: int
    gone: int
    seconds: float

    @property
    def left(self) -> int:
        """Images of this sweep that are not settled yet."""
        planned = self.new + self.changed + self.retried - self.postponed
        return planned - self.indexed - self.failed - self.gone


@dataclass(frozen=True)
class Store:
    """The database of features.

    Safe to pickle into a Dask task; `repr` and logs do not show the password.

    Parameters
    ----------
    conninfo : str
        libpq's connection string or URI.
    snapshot : str
        See `at_one_time`.
    """

    conninfo: str = field(repr=False)
    snapshot: str = ""

    @contextmanager
    def at_one_time(self) -> Iterator[Store]:
        """The store as it is now, whatever is written meanwhile.

        Every connection of the store that this gives, in any process, sees the same rows: those
        that were committed by then. It reads only, and only until the block ends. Sweeps are not
        held up by it; building or dropping an index is.

        Raises
        ------
        psycopg.OperationalError
            At the block's end, if the database was away meanwhile: what was read may then be of
            two times.
        """
        # Nothing passes through this connection while others read, which firewalls take amiss.
        connection = psycopg.connect(
            self.conninfo, application_name="landmark snapshot", keepalives_idle=60
        )
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection:
            row = connection.execute(
                "SELECT pg_export_snapshot(),"
                " set_config('idle_in_transaction_session_timeout', '0', true)"
            ).fetchone()
            assert row is not None
            yield replace(self, snapshot=row[0])
            connection.execute("SELECT")

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """One connection, one transaction: committed at the end, rolled back on an error.

        Raises
        ------
        LandmarkError
            If the tables are not there, or the role lacks a right to them.
        """
        try:
            with connect(self.conninfo) as connection:
                if self.snapshot:
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    connection.execute(
                        sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.snapshot))
                    )
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: the tables are not there; "
                f"run landmark_index once, or `python -m landmark.store`"
            ) from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise _lacks_right(error) from None

    def migrate(self, last: int | None = None) -> list[str]:
        """Bring the schema up to date; what is applied already is left alone.

        Only a role that has something to do here needs the right to create tables.

        Parameters
        ----------
        last : int, optional
            Stop after this migration.

        Returns
        -------
        list of str
            The migrations applied by this call, in order.
        """
        files = {int(path.name.split("_")[0]): path for path in sorted(SQL.glob("[0-9]*.sql"))}
        wanted = [number for number in files if last is None or number <= last]
        if not set(wanted) - self._applied():
            return []
        names = []
        try:
            with psycopg.connect(self.conninfo, application_name="landmark") as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS landmark_migrations ("
                    "number integer PRIMARY KEY, name text NOT NULL, "
                    "applied_at timestamptz NOT NULL DEFAULT now())"
                )
                applied = _applied(connection)  # by another process meanwhile
                for number in wanted:
                    if number in applied:
                        continue
                    connection.execute(files[number].read_bytes())
                    connection.execute(
                        "INSERT INTO landmark_migrations (number, name) VALUES (%s, %s)",
                        [number, files[number].stem],
                    )
                    names.append(files[number].stem)
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: the tables are missing or older than this version, "
                f"and this role may not make them; run `python -m landmark.store postgresql://…` "
                f"as their owner"
            ) from None
        return names

    def _applied(self) -> set[int]:
        with self.connect() as connection:
            row = connection.execute("SELECT to_regclass('landmark_migrations')").fetchone()
            return _applied(connection) if row != (None,) else set()

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Wait until no other process is at work of this name; whoever dies lets go of it."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            # Waiting inside Postgres would keep an index from being built concurrently.
            lock = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
            while connection.execute(lock, [MIGRATION_LOCK, work]).fetchone() != (True,):
                logger.info("waiting for another process: %s", work)
                time.sleep(LOCK_POLL_S)
            yield

    # ---- features -------------------------------------------------------------------------------

    def find(self, image_path: str, model: str) -> tuple[str, LocalFeatures] | None:
        """The etag and features of an image, or None if it is not indexed for the model."""
        with self.connect() as connection:
            register_vector(connection)
            row = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT etag, locations, descriptors, scales, attention, width, height,"
                    " n_features, global_descriptor"
                    " FROM landmarks WHERE image_path = %s AND model = %s",
                    [image_path, model],
                )
                .fetchone()
            )
        if row is None:
            return None
        etag, locations, descriptors, scales, attention, width, height, n, pooled = row
        return etag, LocalFeatures(
            locations=_array(locations, "<f4", n, 2),
            descriptors=_array(descriptors, "<f2", n),
            scales=np.frombuffer(scales, "<f4"),
            attention=np.frombuffer(attention, "<f4"),
            width=width,
            height=height,
            global_descriptor=None if pooled is None else pooled.to_numpy(),
        )

    def save(
        self,
        image_path: str,
        model: str,
        etag: str,
        features: LocalFeatures,
        sweep: str = "",
        aggregation: NumberedAggregation | None = None,
    ) -> None:
        """Write an image's features, instead of any it had, and settle it in the sweep.

        A row keeps its id, so that a running search sees an image once.

        Parameters
        ----------
        aggregation : NumberedAggregation, optional
            Of the model: makes the global descriptor. Without it `landmark_index` adds that later.
        """
        pooled, sketch, number = features.global_descriptor, None, None
        if aggregation:
            pooled, sketch = aggregation.describe(features) or (None, None)
            number = aggregation.number
        with self.connect() as connection:
            register_vector(connection)
            _one_writer(connection, image_path, model)
            if aggregation and not _hold_aggregation(connection, aggregation.number):
                # Replaced meanwhile; `landmark_index` describes the image.
                pooled = sketch = number = None
            connection.execute(
                "INSERT INTO landmarks (image_path, model, etag, width, height, n_features,"
                " locations, descriptors, scales, attention,"
                " global_descriptor, sketch, aggregation)"
                " VALUES (%s, %s, %s, %s, %s, %s, %b, %b, %b, %b, %s, %b, %s)"
                " ON CONFLICT (image_path, model) DO UPDATE SET"
                " etag = excluded.etag, width = excluded.width, height = excluded.height,"
                " n_features = excluded.n_features, locations = excluded.locations,"
                " descriptors = excluded.descriptors, scales = excluded.scales,"
                " attention = excluded.attention,"
                " global_descriptor = excluded.global_descriptor, sketch = excluded.sketch,"
                " aggregation = excluded.aggregation, indexed_at = now()",
                [
                    image_path,
                    model,
                    etag,
                    features.width,
                    features.height,
                    len(features),
                    features.locations.astype("<f4").tobytes(),
                    features.descriptors.astype("<f2").tobytes(),
                    features.scales.astype("<f4").tobytes(),
                    features.attention.astype("<f4").tobytes(),
                    None if pooled is None else HalfVector(pooled),
                    sketch,
                    number,
                ],
            )
            connection.execute(
                "DELETE FROM landmark_failures WHERE image_path = %s AND model = %s",
                [image_path, model],
            )
            _settle(connection, sweep, image_path, "indexed")

    def record_failure(
        self, image_path: str, model: str, etag: str, reason: str, sweep: str = ""
    ) -> None:
        """Note why an image cannot be used, and settle it in the sweep.

        Features of an earlier version of the object go: they are no longer what lies in S3.
        """
        with self.connect() as connection:
            _one_writer(connection, image_path, model)
            connection.execute(
                "INSERT INTO landmark_failures AS failure (image_path, model, etag, reason)"
                " VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (image_path, model) DO UPDATE SET"
                " etag = excluded.etag, reason = excluded.reason,"
                " attempts = CASE WHEN failure.etag = excluded.etag"
                "  THEN failure.attempts + 1 ELSE 1 END,"
                " first_failed_at = CASE WHEN failure.etag = excluded.etag"
                "  THEN failure.first_failed_at ELSE excluded.first_failed_at END,"
                " last_failed_at = excluded.last_failed_at",
                [image_path, model, etag, reason],
            )
            connection.execute(
                "DELETE FROM landmarks WHERE image_path = %s AND model = %s",
                [image_path, model],
            )
            _settle(connection, sweep, image_path, "failed")

    # ---- search ---------------------------------------------------------------------------------

    def count(self, model: str, up_to: int | None = None) -> int:
        """How many images the model has.

        Parameters
        ----------
        up_to : int, optional
            Count no further: counting takes long in a large table.
        """
        with self.connect() as connection:
            return _count_images(connection, model, up_to)

    def contents_besides(self, model: str, paths: Sequence[str], up_to: int) -> list[Contents]:
        """For each path what the model has besides the image of that path.

        Parameters
        ----------
        up_to : int
            Count no further.
        """
        with self.connect() as connection:
            images = _count_images(connection, model, up_to + 1)
            # Of two one at least is another image than the one of a path.
            newest = connection.execute(
                "SELECT image_path, indexed_at FROM landmarks WHERE model = %s"
                " ORDER BY indexed_at DESC LIMIT 2",
                [model],
            ).fetchall()
            indexed = {
                path
                for (path,) in connection.execute(
                    "SELECT image_path FROM landmarks WHERE model = %s AND image_path = ANY(%s)",
                    [model, list(paths)],
                )
            }
        return [
            Contents(
                path in indexed,
                min(images - (path in indexed), up_to),
                next((time for other, time in newest if other != path), None),
            )
            for path in paths
        ]

    def partitions(self, model: str, images: int) -> list[Partition]:
        """The model's rows as ranges of id with at most so many images each.

        Blocks of ids begin and end at fixed places, wider where many ids have no row: an image that
        comes or goes changes one of them and leaves the others as workers know them.
        """
        selected = "FROM landmarks WHERE model = %(model)s"
        values = {"model": model, "images": images}
        with self.connect() as connection:
            row = connection.execute(
                f"SELECT max(id) - min(id) + 1, count(*) {selected}", values
            ).fetchone()
            assert row is not None
            span, n = row
            if not n:
                return []
            values["wide"] = images << ((span // n).bit_length() - 1)
            rows = connection.execute(
                "SELECT min(id), max(id), count(*), block FROM"  # noqa: S608
                " (SELECT id, CASE WHEN count(*) OVER (PARTITION BY id / %(wide)s) > %(images)s"
                "   THEN id / %(images)s ELSE id / %(wide)s * %(wide)s / %(images)s END AS block"
                f"  {selected}) AS numbered GROUP BY block ORDER BY block",
                values,
            )
            return [Partition(range(first, last + 1), n, block) for first, last, n, block in rows]

    def read_partition(
        self,
        model: str,
        ids: range | list[int],
        cache: RowCache | None = None,
    ) -> Iterator[StoredImage]:
        """Stream the images of a partition in the order of their ids.

        The memory needed does not grow with the number of rows. With a cache, only rows that it
        lacks in their present version are read.
        """
        if isinstance(ids, range):
            where, values = "id BETWEEN %s AND %s", [ids.start, ids.stop - 1]
        else:
            where, values = "id = ANY(%s)", [ids]  # type: ignore[list-item]
        scope, held = (self.conninfo, model), {}
        with self.connect() as connection:
            if cache is not None:
                # Every change of a row gives it another xmin. Another database restored under this
                # address, or the counter's return after 2**32 transactions, another time.
                rows = connection.execute(
                    "SELECT id, xmin::text, indexed_at FROM landmarks"  # noqa: S608
                    f" WHERE model = %s AND {where} ORDER BY id",
                    [model, *values],
                )
                versions = {number: (xmin, time) for number, xmin, time in rows}
                held = cache.find(scope, versions)
                missing = [number for number in versions if number not in held]
                if not missing:
                    yield from held.values()
                    return
                where, values = "id = ANY(%s)", [missing]  # type: ignore[list-item]
            # A COPY streams as a cursor does, at half the cost.
            cursor = connection.cursor()
            with cursor.copy(
                "COPY (SELECT id, xmin::text, indexed_at, image_path, greatest(width, height),"  # noqa: S608
                " n_features, locations, descriptors, scales FROM landmarks"
                f" WHERE model = %s AND {where} ORDER BY id)"
                " TO STDOUT (FORMAT BINARY)",
                [model, *values],
            ) as copy:
                copy.set_types(ROW_TYPES)
                read = _read_images(copy.rows(), scope, cache)
                for _, image in heapq.merge(held.items(), read, key=itemgetter(0)):
                    yield image

    # ---- global descriptors ---------------------------------------------------------------------

    def aggregations(self, model: str) -> list[NumberedAggregation]:
        """What the model's global descriptors are made by, the current one first.

        There are others as long as there are images that the current one has not described.
        """
        with self.connect() as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT number, dimensions, images, parameters FROM landmark_aggregations"
                    " WHERE model = %s ORDER BY number DESC",
                    [model],
                )
                .fetchall()
            )
        return [
            NumberedAggregation(
                number, dimensions, images, parameters and Aggregation.from_bytes(parameters)
            )
            for number, dimensions, images, parameters in rows
        ]

    def current_aggregation(self, model: str) -> NumberedAggregation | None:
        """What describes the model's new images, None before it was first measured."""
        return next(iter(self.aggregations(model)), None)

    def add_aggregation(
        self, model: str, dimensions: int, images: int, parameters: Aggregation | None
    ) -> None:
        """Make this the model's current aggregation; it describes images from now on."""
        with self.connect() as connection:
            connection.execute(
                "INSERT INTO landmark_aggregations (model, dimensions, images, parameters)"
                " VALUES (%s, %s, %s, %b)",
                [model, dimensions, images, parameters and parameters.to_bytes()],
            )

    def own_dimensions(self, model: str) -> int | None:
        """Of the global descriptors that the model itself has given, None if it gives none."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT vector_dims(global_descriptor) FROM landmarks"
                " WHERE model = %s AND aggregation IS NULL AND global_descriptor IS NOT NULL"
                " LIMIT 1",
                [model],
            ).fetchone()
        return None if row is None else row[0]

    def sample_ids(self, model: str, images: int) -> list[int]:
        """So many of the model's rows at random; the same rows of the same table."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT id FROM landmarks WHERE model = %s"
                " ORDER BY hashint8extended(id, 0) LIMIT %s",
                [model, images],
            )
            return sorted(number for (number,) in rows)

    def described_by(
        self, model: str, aggregation: int | None, after_id: int, images: int
    ) -> list[tuple[int, str, NDArray[np.float16]]]:
        """The next images that one of the model's aggregations has described, or None of them.

        Returns
        -------
        list of tuple
            Id, etag, and descriptors float16 [n, d] of each, by id.
        """
        where, values = _described_by(model, aggregation)
        with self.connect() as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT id, etag, n_features, descriptors FROM landmarks"  # noqa: S608
                    f" WHERE {where} AND id > %(after)s ORDER BY id LIMIT %(images)s",
                    {**values, "after": after_id, "images": images},
                )
                .fetchall()
            )
        return [(row[0], row[1], _array(row[3], "<f2", row[2])) for row in rows]

    def undescribed_ids(self, model: str, images: int) -> list[int]:
        """At most so many of the model's images that nothing has described yet, ascending."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT id FROM landmarks WHERE model = %s AND aggregation IS NULL"
                " ORDER BY id LIMIT %s",
                [model, images],
            )
            return [number for (number,) in rows]

    def save_descriptions(
        self, aggregation: int, described: list[tuple[int, str, Description | None]]
    ) -> None:
        """Write descriptions, with id and etag of each image.

        An image that has changed since it was read is left alone: it was described by who wrote it.
        """
        with self.connect() as connection:
            register_vector(connection)
            connection.cursor().executemany(
                "UPDATE landmarks SET global_descriptor = %s, sketch = %b, aggregation = %s"
                " WHERE id = %s AND etag = %s",
                [
                    [
                        HalfVector(found.vector) if found else None,
                        found.sketch if found else None,
                        aggregation,
                        number,
                        etag,
                    ]
                    for number, etag, found in described
                ],
            )

    def take_own_descriptions(self, model: str, aggregation: int) -> int:
        """Give the model's own global descriptors their number; return how many there were."""
        with self.connect() as connection:
            return connection.execute(
                "UPDATE landmarks SET aggregation = %s WHERE model = %s AND aggregation IS NULL"
                " AND global_descriptor IS NOT NULL",
                [aggregation, model],
            ).rowcount

    def drop_index(self, aggregation: int) -> None:
        """Drop the HNSW index of an aggregation, if there is one; searches go on meanwhile."""
        with self._own() as connection:
            connection.execute(
                sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(_index_name(aggregation))
            )

    @contextmanager
    def _own(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for what only the tables' owner may do, each statement by itself."""
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: only the owner of the tables may make or drop the "
                f"index of global descriptors; run `python -m landmark.shortlist MODEL "
                f"postgresql://…` as that role"
            ) from None

    def drop_aggregation(self, number: int) -> None:
        """Forget an aggregation and its index, unless an image uses it still."""
        try:
            with self.connect() as connection:
                connection.execute("DELETE FROM landmark_aggregations WHERE number = %s", [number])
        except psycopg.errors.ForeignKeyViolation:
            return
        self.drop_index(number)

    def described(self, model: str, aggregation: int | None, up_to: int | None = None) -> int:
        """How many images one of the model's aggregations, or None of them, has described.

        Parameters
        ----------
        up_to : int, optional
            Count no further.
        """
        where, values = _described_by(model, aggregation)
        with self.connect() as connection:
            return _count(
                connection,
                f"SELECT count(*) FROM (SELECT FROM landmarks WHERE {where} LIMIT %(up_to)s)"  # noqa: S608
                " AS counted",
                {**values, "up_to": up_to},
            )

    def build_index(self, aggregation: NumberedAggregation, memory_mb: int) -> bool:
        """Build the HNSW index of an aggregation, if it is not there; searches go on meanwhile.

        An index of its own for each aggregation, hence each model: one for all would have to be
        read past the others' rows.

        Returns
        -------
        bool
            Whether it was built now.
        """
        if self._has_index(aggregation.number):
            return False
        name = _index_name(aggregation.number)
        with self._own() as connection:
            # What a killed build has left.
            connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
            connection.execute(
                sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(f"{memory_mb}MB"))
            )
            connection.execute(
                sql.SQL(
                    "CREATE INDEX CONCURRENTLY {} ON landmarks"
                    " USING hnsw ((global_descriptor::halfvec({})) halfvec_cosine_ops)"
                    " WHERE aggregation = {}"
                ).format(name, sql.Literal(aggregation.dimensions), sql.Literal(aggregation.number))
            )
        return True

    def nearest(
        self,
        aggregation: NumberedAggregation,
        descriptor: NDArray[np.floating],
        images: int,
        except_path: str = "",
        exact: bool = False,
    ) -> list[int]:
        """Ids of the images with the nearest global descriptors (cosine), nearest first.

        By the index, where there is one; the same index gives the same answer.

        Parameters
        ----------
        exact : bool
            Compare with every global descriptor, without the index.
        """
        by_index = not exact and images <= NEAREST_BY_INDEX and self._has_index(aggregation.number)
        ef_search = min(MAX_EF_SEARCH, max(MIN_EF_SEARCH, images + 1))
        # The index's own expression, letter for letter, or it is not used.
        distance = sql.SQL("global_descriptor::halfvec({}) <=> %(vector)s").format(
            sql.Literal(aggregation.dimensions)
        )
        # Ties beyond the last go to the lower id, which the index knows nothing of.
        order = distance if by_index else sql.SQL("{}, id").format(distance)
        with self.connect() as connection:
            register_vector(connection)
            connection.execute(
                "SELECT set_config('hnsw.ef_search', %s, true),"
                " set_config('hnsw.iterative_scan', 'relaxed_order', true),"
                " set_config('enable_indexscan', %s, true), set_config('enable_sort', %s, true)",
                [str(ef_search), *(("on", "off") if by_index else ("off", "on"))],
            )
            rows = connection.execute(
                sql.SQL(
                    "SELECT id FROM (SELECT id, {distance} AS distance FROM landmarks"
                    "  WHERE aggregation = {number} AND image_path <> %(path)s"
                    "  AND global_descriptor IS NOT NULL"
                    "  ORDER BY {order} LIMIT %(images)s) AS found"
                    " ORDER BY distance, id"
                ).format(distance=distance, number=sql.Literal(aggregation.number), order=order),
                {"vector": HalfVector(descriptor), "path": except_path, "images": images},
            )
            return [number for (number,) in rows]

    def _has_index(self, aggregation: int) -> bool:
        with self.connect() as connection:
            row = connection.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
                [_index_name(aggregation).as_string()],
            ).fetchone()
        return row == (True,)

    def descriptions(self, model: str, aggregation: int, paths: list[str]) -> list[Description]:
        """Of those of the images that the aggregation described, by path."""
        with self.connect() as connection:
            register_vector(connection)
            rows = connection.cursor(binary=True).execute(
                "SELECT global_descriptor, sketch FROM landmarks"
                " WHERE model = %s AND image_path = ANY(%s)"
                " AND aggregation = %s AND global_descriptor IS NOT NULL ORDER BY image_path",
                [model, paths, aggregation],
            )
            return [Description(vector.to_numpy(), sketch) for vector, sketch in rows]

    def sketches(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Of images that have one, by id."""
        with self.connect() as connection:
            rows = connection.cursor(binary=True).execute(
                "SELECT id, sketch FROM landmarks WHERE id = ANY(%s) AND sketch IS NOT NULL",
                [list(ids)],
            )
            return dict(rows)

    # ---- sweep ----------------------------------------------------------------------------------

    def plan_sweep(
        self,
        sweep: str,
        model: str,
        prefix: str,
        listing: Iterable[S3Object],
        max_batches: int,
        retry_failures: bool = False,
    ) -> list[int]:
        """Compare a listing with the table: delete what is gone, note what is to be extracted.

        The listing streams into a temporary table and is compared there; nothing of it is held
        in memory. One transaction: a listing that breaks off changes nothing.

        Parameters
        ----------
        sweep : str
            Names this sweep; planning it again replaces the plan.
        prefix : str
            ``s3://bucket/prefix/`` that was listed; rows elsewhere are left alone.
        listing : iterable of S3Object
            Every image below the prefix.
        max_batches : int
            Never more batches than this; what does not fit is left for the next sweep.
        retry_failures : bool
            Also take unchanged images that failed earlier.

        Returns
        -------
        list of int
            Images in each batch.
        """
        with self.connect() as connection:
            connection.execute(
                "CREATE TEMPORARY TABLE listing"
                ' (image_path text COLLATE "C" PRIMARY KEY, etag text, size bigint)'
                " ON COMMIT DROP"
            )
            with connection.cursor().copy("COPY listing FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "text", "int8"])
                for entry in listing:
                    copy.write_row(entry)
            connection.execute("ANALYZE listing")
            seen = _count(connection, "SELECT count(*) FROM listing")
            removed = self._remove_unlisted(connection, prefix)
            connection.execute(
                "CREATE TEMPORARY TABLE work ON COMMIT DROP AS"
                " SELECT image_path, listing.etag, listing.size,"
                "  row_number() OVER (ORDER BY image_path) - 1 AS number,"
                "  CASE WHEN failure.etag = listing.etag THEN 'retried'"
                "   WHEN landmark.etag IS NULL AND failure.etag IS NULL THEN 'new'"
                "   ELSE 'changed' END AS change"
                " FROM listing"
                " LEFT JOIN (SELECT image_path, etag FROM landmarks WHERE model = %(model)s)"
                "  AS landmark USING (image_path)"
                " LEFT JOIN (SELECT image_path, etag FROM landmark_failures"
                "  WHERE model = %(model)s) AS failure USING (image_path)"
                " WHERE landmark.etag IS DISTINCT FROM listing.etag"
                "  AND (%(retry)s OR failure.etag IS DISTINCT FROM listing.etag)",
                {"model": model, "retry": retry_failures},
            )
            found = dict(
                connection.execute("SELECT change, count(*) FROM work GROUP BY change").fetchall()
            )
            size = batch_size(sum(found.values()), max_batches)
            # One sweep runs at a time: other plans are what finished or killed sweeps left.
            connection.execute("DELETE FROM landmark_sweep_images")
            connection.execute("DELETE FROM landmark_sweeps WHERE sweep = %s", [sweep])
            connection.execute(
                "INSERT INTO landmark_sweeps"
                " (sweep, model, prefix, seen, new, changed, retried, removed, postponed)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    sweep,
                    model,
                    prefix,
                    seen,
                    found.get("new", 0),
                    found.get("changed", 0),
                    found.get("retried", 0),
                    removed,
                    max(0, sum(found.values()) - size * max_batches),
                ],
            )
            connection.execute(
                "INSERT INTO landmark_sweep_images (sweep, batch, image_path, etag, size)"
                " SELECT %s, number / %s, image_path, etag, size FROM work WHERE number < %s",
                [sweep, size, size * max_batches],
            )
            batches = connection.execute(
                "SELECT count(*) FROM landmark_sweep_images WHERE sweep = %s"
                " GROUP BY batch ORDER BY batch",
                [sweep],
            )
            return [images for (images,) in batches]

    def unsettled(self, sweep: str, batch: int) -> list[S3Object]:
        """What is left to extract of a batch, in the order of paths."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT image_path, etag, size FROM landmark_sweep_images"
                " WHERE sweep = %s AND batch = %s AND outcome IS NULL ORDER BY image_path",
                [sweep, batch],
            )
            return [S3Object(*row) for row in rows]

    def settle_gone(self, sweep: str, image_path: str) -> None:
        """Note that an image of the sweep was deleted after it was listed."""
        with self.connect() as connection:
            _settle(connection, sweep, image_path, "gone")

    def finish_sweep(self, sweep: str) -> Sweep:
        """Write down what became of a sweep's images, and return it."""
        with self.connect() as connection:
            _fold_counts(connection)
            connection.execute(
                "UPDATE landmark_sweeps SET finished_at = clock_timestamp(),"
                " indexed = outcomes.indexed, failed = outcomes.failed, gone = outcomes.gone FROM"
                " (SELECT count(*) FILTER (WHERE outcome = 'indexed') AS indexed,"
                "   count(*) FILTER (WHERE outcome = 'failed') AS failed,"
                "   count(*) FILTER (WHERE outcome = 'gone') AS gone"
                "  FROM landmark_sweep_images WHERE sweep = %(sweep)s) AS outcomes"
                " WHERE sweep = %(sweep)s",
                {"sweep": sweep},
            )
        return self.sweep(sweep)

    def sweep(self, sweep: str) -> Sweep:
        """What a sweep has found, and what became of its images when it was finished.

        Raises
        ------
        LandmarkError
            If it was never planned.
        """
        with self.connect() as connection:
            row = connection.execute(
                "SELECT seen, new, changed, retried, removed, postponed, coalesce(indexed, 0),"
                " coalesce(failed, 0), coalesce(gone, 0),"
                " extract(epoch FROM coalesce(finished_at, clock_timestamp()) - planned_at)::float8"
                " FROM landmark_sweeps WHERE sweep = %s",
                [sweep],
            ).fetchone()
        if row is None:
            raise LandmarkError(f"sweep {sweep!r} was never planned; run landmark_index again")
        return Sweep(*row)

    @staticmethod
    def _remove_unlisted(connection: psycopg.Connection[Any], prefix: str) -> int:
        # Since before the listing began: what a search has indexed meanwhile may not be on it.
        connection.execute(
            "DELETE FROM landmark_failures AS failure"
            " WHERE starts_with(image_path, %s) AND last_failed_at < now()"
            " AND NOT EXISTS (SELECT FROM listing WHERE listing.image_path = failure.image_path)",
            [prefix],
        )
        return connection.execute(
            "DELETE FROM landmarks AS landmark"
            " WHERE starts_with(image_path, %s) AND indexed_at < now()"
            " AND NOT EXISTS (SELECT FROM listing WHERE listing.image_path = landmark.image_path)",
            [prefix],
        ).rowcount


def batch_size(images: int, max_batches: int, smallest: int = 128, largest: int = 256) -> int:
    """Images a batch, so that all batches are of about one size.

    Coarse, since each batch costs a process and the load of a model (as long as some 60 images
    take); bounded, so that one batch is done in minutes.
    """
    size = min(largest, max(smallest, -(-images // max_batches)))
    batches = min(max_batches, max(1, -(-images // size)))
    return max(1, min(largest, -(-images // batches)))


def _applied(connection: psycopg.Connection[Any]) -> set[int]:
    return {number for (number,) in connection.execute("SELECT number FROM landmark_migrations")}


def _lacks_right(error: psycopg.errors.InsufficientPrivilege) -> LandmarkError:
    return LandmarkError(
        f"{str(error).splitlines()[0]}; connect as a role with the rights of "
        f"include/sql/admin/roles.sql"
    )


def _settle(connection: psycopg.Connection[Any], sweep: str, image_path: str, outcome: str) -> None:
    connection.execute(
        "UPDATE landmark_sweep_images SET outcome = %s WHERE sweep = %s AND image_path = %s",
        [outcome, sweep, image_path],
    )


def _one_writer(connection: psycopg.Connection[Any], image_path: str, model: str) -> None:
    """Wait for others who write this image, a sweep and a search: it is a row or a failure."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{model} {image_path}"]
    )


def _hold_aggregation(connection: psycopg.Connection[Any], number: int) -> bool:
    """Keep an aggregation from being dropped until the transaction ends; whether it is there."""
    row = connection.execute(
        "SELECT FROM landmark_aggregations WHERE number = %s FOR KEY SHARE", [number]
    ).fetchone()
    return row is not None


def _count_images(connection: psycopg.Connection[Any], model: str, up_to: int | None) -> int:
    row = connection.execute(
        "SELECT count(*) FROM (SELECT FROM landmarks WHERE model = %s LIMIT %s) AS counted",
        [model, up_to],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _index_name(aggregation: int) -> sql.Identifier:
    return sql.Identifier(f"landmarks_nearest_{aggregation}")


def _described_by(model: str, aggregation: int | None) -> tuple[LiteralString, dict[str, Any]]:
    """The condition, and its values, that one index of the table answers."""
    if aggregation is None:
        return "model = %(model)s AND aggregation IS NULL", {"model": model}
    return "aggregation = %(aggregation)s", {"aggregation": aggregation}


def _fold_counts(connection: psycopg.Connection[Any]) -> None:
    """One row for each model and day instead of one for each change."""
    connection.execute(
        "WITH folded AS (DELETE FROM landmark_counts RETURNING *)"
        " INSERT INTO landmark_counts SELECT model, day, sum(images), sum(features) FROM folded"
        " GROUP BY model, day HAVING sum(images) <> 0 OR sum(features) <> 0"
    )


def _count(
    connection: psycopg.Connection[Any], query: LiteralString, values: dict[str, Any] | None = None
) -> int:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])


def _read_images(
    rows: Iterable[tuple[Any, ...]], scope: Hashable, cache: RowCache | None
) -> Iterator[tuple[int, StoredImage]]:
    """The images of rows by their ids; the cache is offered each."""
    for number, xmin, indexed_at, path, side, n, locations, descriptors, scales in rows:
        image = StoredImage(
            path,
            side,
            _array(locations, "<f4", n, 2),
            _array(descriptors, "<f2", n),
            np.frombuffer(scales, "<f4"),
            number,
        )
        if cache is not None:
            size = len(locations) + len(descriptors) + len(scales) + ROW_OVERHEAD_BYTES
            cache.keep(scope, number, (xmin, indexed_at), image, size)
        yield number, image


def _array(data: bytes, dtype: DTypeLike, n: int, columns: int | None = None) -> NDArray[Any]:
    values = np.frombuffer(data, dtype)
    return values.reshape(n, columns or (values.size // n if n else 1))


if __name__ == "__main__":
    import os
    import sys

    if len(sys.argv) != 2 and "DATABASE_URL" not in os.environ:
        sys.exit("usage: python -m landmark.store postgresql://…  (or set DATABASE_URL)")
    applied = Store(sys.argv[1] if len(sys.argv) == 2 else os.environ["DATABASE_URL"]).migrate()
    print("applied: " + ", ".join(applied) if applied else "up to date")
