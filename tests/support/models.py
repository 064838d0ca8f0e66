"""Small SavedModels with the signatures of DELF, whose features one can work out by hand.

All detect the same: a feature on each pixel, at (y, x), for each scale of the pyramid.
Its attention is 1000 times the pixel's mean of red, green and blue (0..1) over the scale's place
in the list (1, 2, ...), its descriptor is (red, green, blue, 1) and zeros behind that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

DIMENSIONS = 40
RAW_DIMENSIONS = 1024
GLOBAL_DIMENSIONS = 3
v1 = tf.compat.v1


def save_hub_model(path: Path, dimensions: int = DIMENSIONS, bias: float = 0.0) -> Path:
    """As tfhub.dev/google/delf/1 in TensorFlow 2; `bias` is a weight, added to all attention."""
    module = tf.Module()
    module.bias = tf.Variable(bias)

    @tf.function(input_signature=[_IMAGE_FLOAT, _THRESHOLD, _SCALES, _MAX_FEATURES])
    def default(image, score_threshold, image_scales, max_feature_num):
        boxes, descriptors, sizes, attention = _detect(
            image, image_scales, score_threshold, max_feature_num, dimensions
        )
        return {
            "locations": boxes[:, :2] + 1,
            "descriptors": descriptors,
            "feature_scales": sizes,
            "attention": attention + module.bias,
        }

    tf.saved_model.save(module, str(path), signatures={"default": default})
    return path


def save_plain_hub_model(path: Path) -> Path:
    """Like the first, but it takes only the image and gives only what a model must give."""
    module = tf.Module()

    @tf.function(input_signature=[_IMAGE_FLOAT])
    def default(image):
        boxes, descriptors, _, _ = _detect(image, tf.constant([1.0]), 500.0, 1000, DIMENSIONS)
        return {"locations": boxes[:, :2] + 1, "descriptors": descriptors}

    tf.saved_model.save(module, str(path), signatures={"default": default})
    return path


def save_hub_model_v1(path: Path) -> Path:
    """In the format of the real delf/1: a TensorFlow 1 graph and loop, no tags, a marker file."""
    with _graph_with_old_loops() as graph:
        image = v1.placeholder(tf.float32, [None, None, 3], "image")
        threshold = v1.placeholder(tf.float32, [], "score_threshold")
        scales = v1.placeholder(tf.float32, [None], "image_scales")
        count = v1.placeholder(tf.int32, [], "max_feature_num")
        boxes, descriptors, sizes, attention = _detect(image, scales, threshold, count, DIMENSIONS)
        signature = v1.saved_model.predict_signature_def(
            {
                "image": image,
                "score_threshold": threshold,
                "image_scales": scales,
                "max_feature_num": count,
            },
            {
                "locations": boxes[:, :2] + 1,
                "descriptors": descriptors,
                "feature_scales": sizes,
                "attention": attention,
            },
        )
        _save_v1(path, graph, [], {"default": signature})
    (path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return path


def save_garden_model(
    path: Path, dimensions: int = DIMENSIONS, global_descriptors: bool = False
) -> Path:
    """As export_local_model.py, or export_local_and_global_model.py, of the model garden."""
    module = tf.Module()

    def local(input_image, input_scales, input_max_feature_num, input_abs_thres):
        boxes, features, scales, scores = _detect(
            tf.cast(input_image, tf.float32) / 255,
            input_scales,
            input_abs_thres,
            input_max_feature_num,
            dimensions,
        )
        outputs = {"boxes": boxes, "features": features, "scales": scales}
        return outputs | {"scores": scores[:, None]}

    def both(input_image, input_scales, input_max_feature_num, input_abs_thres, scale_indices):
        outputs = local(input_image, input_scales, input_max_feature_num, input_abs_thres)
        used = tf.gather(input_scales, scale_indices)
        # One a scale, of very different lengths: (scale, 0, 0), then (0, scale, 0), ...
        rows = tf.one_hot(tf.range(tf.size(used)), GLOBAL_DIMENSIONS) * used[:, None]
        return outputs | {"global_descriptors": rows}

    signature = [
        tf.TensorSpec([None, None, 3], tf.uint8, "input_image"),
        tf.TensorSpec([None], tf.float32, "input_scales"),
        tf.TensorSpec([], tf.int32, "input_max_feature_num"),
        tf.TensorSpec([], tf.float32, "input_abs_thres"),
    ]
    indices = tf.TensorSpec([None], tf.int32, "input_global_scales_ind")
    if global_descriptors:
        function = tf.function(both, input_signature=[*signature, indices])
    else:
        function = tf.function(local, input_signature=signature)
    tf.saved_model.save(module, str(path), signatures={"serving_default": function})
    return path


def save_model_like_delg(path: Path, local: Path, cells: int = 4) -> Path:
    """The signature of export_local_and_global_model.py round a real model's local features.

    Its global descriptor of an image, one a scale, is how the colours are spread over it.
    """
    module = tf.Module()
    module.local = tf.saved_model.load(str(local))

    def both(input_image, input_scales, input_max_feature_num, input_abs_thres, scale_indices):
        image = tf.cast(input_image, tf.float32) / 255
        found = module.local.signatures["default"](
            image=image,
            image_scales=input_scales,
            max_feature_num=input_max_feature_num,
            score_threshold=input_abs_thres,
        )
        spread = tf.reshape(tf.image.resize(image, [cells, cells], antialias=True), [1, -1])
        spread -= tf.reduce_mean(spread)
        return {
            "boxes": tf.concat([found["locations"] - 1, found["locations"] + 1], axis=1),
            "features": found["descriptors"],
            "scales": found["feature_scales"],
            "scores": found["attention"][:, None],
            "global_descriptors": spread * tf.gather(input_scales, scale_indices)[:, None],
        }

    signature = [
        tf.TensorSpec([None, None, 3], tf.uint8, "input_image"),
        tf.TensorSpec([None], tf.float32, "input_scales"),
        tf.TensorSpec([], tf.int32, "input_max_feature_num"),
        tf.TensorSpec([], tf.float32, "input_abs_thres"),
        tf.TensorSpec([None], tf.int32, "input_global_scales_ind"),
    ]
    function = tf.function(both, input_signature=signature)
    tf.saved_model.save(module, str(path), signatures={"serving_default": function})
    return path


def save_garden_model_v1(path: Path) -> Path:
    """As DELF's first releases: a TensorFlow 1 graph with names for tensors, no signature."""
    with _graph_with_old_loops() as graph:
        image = v1.placeholder(tf.uint8, [None, None, 3], "input_image")
        scales = v1.placeholder(tf.float32, [None], "input_scales")
        threshold = v1.placeholder(tf.float32, [], "input_abs_thres")
        count = v1.placeholder(tf.int32, [], "input_max_feature_num")
        boxes, features, sizes, scores = _detect(
            tf.cast(image, tf.float32) / 255, scales, threshold, count, DIMENSIONS
        )
        tf.identity(boxes, "boxes")
        tf.identity(features, "features")
        tf.identity(sizes, "scales")
        tf.identity(scores[:, None], "scores")
        _save_v1(path, graph, [v1.saved_model.tag_constants.SERVING], {})
    return path


def save_fragile_model(path: Path, always: bool) -> Path:
    """Fails as TensorFlow fails inside a graph: on every image, or only on white ones."""
    module = tf.Module()

    @tf.function(input_signature=[_IMAGE_FLOAT])
    def default(image):
        bound = 0.0 if always else 0.99
        tf.debugging.assert_less(tf.reduce_min(image), bound, "no white, please")
        none = tf.zeros([0, 2])
        return {"locations": none, "descriptors": tf.zeros([0, DIMENSIONS])}

    tf.saved_model.save(module, str(path), signatures={"default": default})
    return path


def save_strange_features(path: Path) -> Path:
    """Five features at (i, i) of attention i, where only 0 and 4 are sound."""
    module = tf.Module()

    @tf.function(input_signature=[_IMAGE_FLOAT])
    def default(image):
        del image
        place = tf.range(5, dtype=tf.float32)
        nan, inf = float("nan"), float("inf")
        descriptors = tf.constant([[1.0, 2.0], [nan, 1.0], [0.0, 0.0], [1.0, 1.0], [3.0, 4.0]])
        return {
            "locations": tf.stack([place, place], axis=1),
            "descriptors": descriptors,
            "attention": tf.constant([0.0, 1.0, 2.0, inf, 4.0]),
        }

    tf.saved_model.save(module, str(path), signatures={"default": default})
    return path


def save_model_of_shapes(path: Path, descriptors: list[int], pooled: int = 0) -> Path:
    """Gives descriptors of this shape, of white pictures none of shape (0,); two global ones."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, "input_image")])
    def default(input_image):
        shape = tf.constant(descriptors)
        shape = tf.cond(tf.reduce_all(input_image == 255), lambda: tf.constant([0]), lambda: shape)
        n = shape[0]
        outputs = {
            "boxes": tf.ones([n, 4]),
            "features": tf.ones(shape),
            "scales": tf.ones([n]),
            "scores": tf.ones([n]),
        }
        return outputs | ({"global_descriptors": tf.ones([2, pooled])} if pooled else {})

    tf.saved_model.save(module, str(path), signatures={"serving_default": default})
    return path


def save_classifier(path: Path) -> Path:
    """A SavedModel that is no model for local features."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 224, 224, 3], tf.float32, "images")])
    def serving_default(images):
        return {"logits": tf.reduce_mean(images, axis=[1, 2])}

    tf.saved_model.save(module, str(path), signatures={"serving_default": serving_default})
    return path


def save_datum(path: Path, array: NDArray[np.float32]) -> None:
    """Write a DatumProto with Google's own protobuf, beside which Landmark's reader is tested."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="datum.proto", package="d", syntax="proto3")
    for name, fields in {
        "Shape": [("dim", 1, kind.TYPE_INT64, kind.LABEL_REPEATED, "")],
        "Floats": [("value", 1, kind.TYPE_FLOAT, kind.LABEL_REPEATED, "")],
        "Datum": [
            ("shape", 1, kind.TYPE_MESSAGE, kind.LABEL_OPTIONAL, ".d.Shape"),
            ("float_list", 2, kind.TYPE_MESSAGE, kind.LABEL_OPTIONAL, ".d.Floats"),
        ],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, type_, label, type_name in fields:
            message.field.add(
                name=field, number=number, type=type_, label=label, type_name=type_name or None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    datum = message_factory.GetMessageClass(pool.FindMessageTypeByName("d.Datum"))()
    datum.shape.dim.extend(array.shape)
    datum.float_list.value.extend(array.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(datum.SerializeToString())


_IMAGE_FLOAT = tf.TensorSpec([None, None, 3], tf.float32, "image")
_THRESHOLD = tf.TensorSpec([], tf.float32, "score_threshold")
_SCALES = tf.TensorSpec([None], tf.float32, "image_scales")
_MAX_FEATURES = tf.TensorSpec([], tf.int32, "max_feature_num")


def _detect(image, scales, threshold, max_features, dimensions):
    """Boxes of 2 px round each pixel, descriptors, sizes (1 / scale) and attention, by attention.

    The scales are gone through in a loop, as DELF does.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    xs, ys = tf.meshgrid(tf.range(width), tf.range(height))
    centres = tf.cast(tf.stack([ys, xs], axis=-1), tf.float32)
    centres = tf.reshape(centres, [-1, 2])
    colours = tf.reshape(image, [-1, 3])
    brightness = 1000 * tf.reduce_mean(colours, axis=1)

    def one_scale(i, all_centres, all_colours, all_sizes, all_attention):
        attention = brightness / tf.cast(i + 1, tf.float32)
        kept = tf.reshape(tf.where(attention >= threshold), [-1])
        sizes = tf.fill([tf.size(kept)], 1 / tf.gather(scales, i))
        return (
            i + 1,
            tf.concat([all_centres, tf.gather(centres, kept)], 0),
            tf.concat([all_colours, tf.gather(colours, kept)], 0),
            tf.concat([all_sizes, sizes], 0),
            tf.concat([all_attention, tf.gather(attention, kept)], 0),
        )

    start = (0, tf.zeros([0, 2]), tf.zeros([0, 3]), tf.zeros([0]), tf.zeros([0]))
    shapes = [[], [None, 2], [None, 3], [None], [None]]
    _, centres_found, colours_found, sizes, attention = v1.while_loop(
        lambda i, *found: i < tf.size(scales),
        one_scale,
        [tf.constant(start[0]), *start[1:]],
        shape_invariants=[tf.TensorShape(shape) for shape in shapes],
    )
    order = tf.math.top_k(attention, tf.minimum(max_features, tf.size(attention))).indices
    centre = tf.gather(centres_found, order)
    colour = tf.gather(colours_found, order)
    ones = tf.ones([tf.size(order), 1])
    descriptors = tf.pad(tf.concat([colour, ones], 1), [[0, 0], [0, dimensions - 4]])
    return (
        tf.concat([centre - 1, centre + 1], axis=1),
        descriptors,
        tf.gather(sizes, order),
        tf.gather(attention, order),
    )


@contextmanager
def _graph_with_old_loops() -> Iterator[tf.Graph]:
    """A graph whose loops are TensorFlow 1's Enter, Switch, Merge and Exit."""
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            yield graph
    finally:
        v1.enable_control_flow_v2()


def _save_v1(path, graph, tags, signatures):
    with v1.Session(graph=graph) as session:
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, tags, signature_def_map=signatures)
        builder.save()
