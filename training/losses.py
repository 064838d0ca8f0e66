"""What training lowers."""

from __future__ import annotations

import tensorflow as tf

from training.network import Network

SCORE_WEIGHT = 5.0
CONTRAST_WEIGHT = 0.3
REPULSION_WEIGHT = 4.0
TEMPERATURE = 0.07
# Matching takes descriptors for the same from a cosine of 0.64 on (a distance of 0.85).
REPELLED_COSINE = 0.4
# Points of one view that lie nearer to each other are no negatives.
SAME_POINT_PX = 6.0


def losses(network: Network, batch: dict[str, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
    """The losses of a batch of what `training.data` and `training.pair_views` yield.

    Returns
    -------
    dict of float32 scalar
        ``score``: cross-entropy with the teacher's score, bright pixels weighing more. ``cosine``:
        one minus the cosine to the teacher's descriptor, in both views, where there is one.
        ``contrast``: InfoNCE over all keypoints of the batch, view 1 against view 2 and both
        against the teacher. ``repulsion``: how far the cosine of look-alikes is above what it may
        be, squared.
    """
    images = tf.concat([batch["images"][:, 0], batch["images"][:, 1]], axis=0)
    scores = tf.concat([batch["scores"][:, 0], batch["scores"][:, 1]], axis=0)
    locations = tf.concat([batch["locations"][:, 0], batch["locations"][:, 1]], axis=0)
    levels = network.levels(images, training)

    logits = network.score_logits(levels, training)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(scores, logits)
    pixel_weights = 1.0 + 4.0 * scores

    size = network.descriptor_size
    first, second = tf.split(tf.reshape(network.descriptors(levels, locations), [-1, size]), 2)
    taught = tf.reshape(batch["descriptors"], [-1, size])
    of_teacher, of_pairs, repelled = (
        tf.reshape(batch[name], [-1]) for name in ("taught", "weights", "repelled")
    )
    cosine = 2.0 - tf.reduce_sum(first * taught, 1) - tf.reduce_sum(second * taught, 1)
    one, other = (_candidates(batch, view) for view in range(2))
    by_teacher = one & (of_teacher > 0)
    contrast = (
        info_nce(first, second, of_pairs, other)
        + info_nce(second, first, of_pairs, one)
        + info_nce(first, taught, of_teacher, by_teacher)
        + info_nce(second, taught, of_teacher, by_teacher)
    ) / 4
    too_alike = tf.nn.relu(tf.reduce_sum(first * second, 1) - REPELLED_COSINE)
    return {
        "score": tf.reduce_sum(entropy * pixel_weights) / tf.reduce_sum(pixel_weights),
        "cosine": weighted_mean(cosine / 2.0, of_teacher),
        "contrast": contrast,
        "repulsion": weighted_mean(tf.square(too_alike), repelled),
    }


def whole_loss(
    network: Network, batch: dict[str, tf.Tensor], contrast_weight: float = CONTRAST_WEIGHT
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The losses of the whole network in training, and their weighted sum."""
    parts = losses(network, batch, training=True)
    total = (
        SCORE_WEIGHT * parts["score"]
        + parts["cosine"]
        + contrast_weight * parts["contrast"]
        + REPULSION_WEIGHT * parts["repulsion"]
    )
    return parts, total


def _candidates(batch: dict[str, tf.Tensor], view: int) -> tf.Tensor:
    """As of `candidates`, for the keypoints of one view; filling is none."""
    count = tf.shape(batch["weights"])[1]
    example = tf.repeat(tf.range(tf.shape(batch["place"])[0]), count)
    where = tf.reshape(batch["locations"][:, view], [-1, 2])
    real = tf.reshape(batch["weights"] + batch["repelled"], [-1]) > 0
    found = candidates(example, tf.repeat(batch["place"], count), where)
    return (found & real) | tf.eye(tf.size(example), dtype=tf.bool)


def candidates(example: tf.Tensor, place: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Which columns a row's partner is looked for among, itself included: bool [m, m].

    Not among other examples that may show the same, and not among points of its own example that
    lie beside it.

    Parameters
    ----------
    example, place
        int32 [m].
    where
        float32 [m, 2], px.
    """
    distance = tf.reduce_sum(tf.square(where[:, tf.newaxis] - where), axis=2)
    allowed = tf.where(
        example[:, tf.newaxis] == example,
        distance >= SAME_POINT_PX**2,
        place[:, tf.newaxis] != place,
    )
    return allowed | tf.eye(tf.size(place), dtype=tf.bool)


def info_nce(
    queries: tf.Tensor,
    keys: tf.Tensor,
    weights: tf.Tensor,
    among: tf.Tensor,
    sharpness: float = 1 / TEMPERATURE,
) -> tf.Tensor:
    """Cross-entropy of finding row i's partner, key i, among so many of them, [m, m]."""
    logits = tf.matmul(queries, keys, transpose_b=True) * sharpness
    logits = tf.where(among, logits, -1e9)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(tf.shape(logits)[0]), logits)
    return weighted_mean(entropy, weights)


def weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted; of no rows 0."""
    kept = tf.where(weights > 0, values, 0.0)
    return tf.reduce_sum(kept * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)
