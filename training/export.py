"""Make the model: ``python -m training.export --run DIR --model DIR``.

A SavedModel with the signature of the DELF modules of TF Hub and, from the same weights, the
network alone for LiteRT, round which `landmark.extraction` does what the SavedModel's graph does.
Without ``--run`` the latter is made anew from the SavedModel that is there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf

from landmark.extraction.keypoints import BORDER_PX
from landmark.extraction.litert import IMAGE, KEYPOINTS
from landmark.extraction.models import LITERT_FILE
from training.network import CHANNELS, STRIDES, Network, local_maxima
from training.trainer import trained

DEFAULTS: dict[str, Any] = {
    "max_image_size": 800,
    "image_scales": [0.5, 1.0],
    "max_features": 1000,
    "score_threshold": 0.1,
    "max_distance": 0.85,
}
"""What extraction uses with this model where nothing else is set."""


class Extractor(tf.Module):
    """The trained network as a DELF module: image in, local features out.

    Parameters
    ----------
    network
        Trained; its batch normalisation is folded into the convolutions here.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        for convolution in network.convolutions:
            convolution.fold()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.float32, "image"),
            tf.TensorSpec([], tf.float32, "score_threshold"),
            tf.TensorSpec([None], tf.float32, "image_scales"),
            tf.TensorSpec([], tf.int32, "max_feature_num"),
        ]
    )
    def extract(
        self,
        image: tf.Tensor,
        score_threshold: tf.Tensor,
        image_scales: tf.Tensor,
        max_feature_num: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Local features of an image over a pyramid of scales.

        Parameters
        ----------
        image
            float32 [h, w, 3], RGB in 0..1.
        score_threshold
            float32 scalar in 0..1, features of a lower score are dropped.
        image_scales
            float32 [s], enlargements of the image (1 as it is).
        max_feature_num
            int32 scalar, the best so many of all scales are returned.

        Returns
        -------
        dict
            ``locations`` float32 [n, 2], (y, x) px of `image`, origin at the centre of the top left
            pixel; ``descriptors`` float32 [n, d], unit length; ``feature_scales`` float32 [n], one
            over the scale of `image_scales`, as DELF has it; ``attention`` float32 [n], the score,
            descending; n may be 0.
        """
        size = self.network.descriptor_size
        locations = tf.zeros([0, 2])
        descriptors = tf.zeros([0, size])
        scales = tf.zeros([0])
        attention = tf.zeros([0])
        for scale in image_scales:
            # One scale after the other: at once they take the memory of all, and TensorFlow 2.21
            # crashed now and then on processors with AMX.
            tf.autograph.experimental.set_loop_options(
                parallel_iterations=1,
                shape_invariants=[
                    (locations, tf.TensorShape([None, 2])),
                    (descriptors, tf.TensorShape([None, size])),
                    (scales, tf.TensorShape([None])),
                    (attention, tf.TensorShape([None])),
                ],
            )
            found = self._at_scale(image, scale, score_threshold, max_feature_num)
            locations = tf.concat([locations, found[0]], axis=0)
            descriptors = tf.concat([descriptors, found[1]], axis=0)
            attention = tf.concat([attention, found[2]], axis=0)
            scales = tf.concat([scales, tf.fill(tf.shape(found[2]), 1 / scale)], axis=0)
        count = tf.minimum(max_feature_num, tf.size(attention))
        attention, best = tf.math.top_k(attention, count)
        return {
            "locations": tf.gather(locations, best),
            "descriptors": tf.gather(descriptors, best),
            "feature_scales": tf.gather(scales, best),
            "attention": attention,
        }

    def _at_scale(
        self, image: tf.Tensor, scale: tf.Tensor, threshold: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Locations in px of `image`, descriptors and scores found at one scale."""
        original = tf.shape(image)[:2]
        wanted = tf.cast(tf.round(tf.cast(original, tf.float32) * scale), tf.int32)
        size = tf.maximum(wanted, 1)
        scaled = tf.cond(
            tf.reduce_all(size == original),
            lambda: image,
            lambda: tf.image.resize(image, size, antialias=True),
        )
        levels = self.network.levels(_padded(scaled)[tf.newaxis])
        logits = self.network.score_logits(levels)[0, : size[0], : size[1]]

        peaks, values = local_maxima(logits, count, BORDER_PX)
        peaks = tf.boolean_mask(peaks, tf.sigmoid(values) >= threshold)
        scores = tf.sigmoid(tf.gather_nd(logits, peaks))
        refined = tf.cast(peaks, tf.float32) + _peak_offsets(logits, peaks)
        descriptors = self.network.descriptors(levels, refined[tf.newaxis])[0]
        enlargement = tf.cast(size, tf.float32) / tf.cast(original, tf.float32)
        return (refined + 0.5) / enlargement - 0.5, descriptors, scores


def _padded(image: tf.Tensor) -> tf.Tensor:
    """The image with its last row and column repeated up to the network's multiple."""
    rows, columns = (
        tf.minimum(tf.range(-(-side // STRIDES[-1]) * STRIDES[-1]), side - 1)
        for side in tf.unstack(tf.shape(image)[:2])
    )
    return tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)


def _peak_offsets(logits: tf.Tensor, peaks: tf.Tensor) -> tf.Tensor:
    """Where the parabola through a maximum and its two neighbours peaks, px [n, 2] in +-0.5."""
    centre = tf.gather_nd(logits, peaks)
    offsets = []
    for step in ([1, 0], [0, 1]):
        before = tf.gather_nd(logits, peaks - step)
        after = tf.gather_nd(logits, peaks + step)
        curvature = tf.minimum(before - 2.0 * centre + after, -1e-6)
        offsets.append((before - after) / (2.0 * curvature))
    return tf.clip_by_value(tf.stack(offsets, axis=1), -0.5, 0.5)


def export(network: Network, folder: Path) -> None:
    """Write a trained network for both runtimes with its ``landmark.json``; folds the network."""
    extractor = Extractor(network)
    tf.saved_model.save(extractor, str(folder), signatures={"default": extractor.extract})
    export_litert(extractor, folder / LITERT_FILE)
    (folder / "landmark.json").write_text(json.dumps(DEFAULTS, indent=2) + "\n")


def exported(network: Network, folder: Path) -> Extractor:
    """What `export` made of a network, with the weights that lie in its folder."""
    extractor = Extractor(network)
    weights = tf.train.Checkpoint(network=network).read(str(folder / "variables" / "variables"))
    weights.assert_existing_objects_matched().expect_partial()
    return extractor


def export_litert(extractor: Extractor, path: Path) -> None:
    """Write the network alone, as `landmark.extraction.litert` runs it."""
    network = extractor.network

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32, "image")])
    def image(image: tf.Tensor) -> dict[str, tf.Tensor]:
        levels = network.levels(image)
        named = {f"level_{index}": level for index, level in enumerate(levels)}
        return {"logits": network.score_logits(levels), **named}

    @tf.function(input_signature=[tf.TensorSpec([None, sum(CHANNELS)], tf.float32, "samples")])
    def keypoints(samples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"descriptors": network.described(samples)}

    signatures = {IMAGE: image, KEYPOINTS: keypoints}
    with TemporaryDirectory() as folder:
        tf.saved_model.save(extractor, folder, signatures=signatures)
        # The first by name becomes the interpreter's main one: the image's.
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=sorted(signatures)
        )
        path.write_bytes(converter.convert())


def main() -> None:
    """Export the last checkpoint of a run."""
    parser = argparse.ArgumentParser(prog="training.export", description=__doc__)
    parser.add_argument("--run", type=Path, help="training's --out")
    parser.add_argument("--model", type=Path, required=True, help="folder of the SavedModel")
    parser.add_argument("--descriptor-size", type=int, default=64, help="without --run")
    arguments = parser.parse_args()
    if arguments.run is None:
        network = Network(arguments.descriptor_size)
        export_litert(exported(network, arguments.model), arguments.model / LITERT_FILE)
        return
    export(trained(arguments.run), arguments.model)


if __name__ == "__main__":
    main()
