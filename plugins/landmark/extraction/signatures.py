"""The two families of DELF SavedModels behind one call: pixels in, raw features out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.models import ModelConfig

# What pgvector indexes of halfvec by HNSW; it stores up to 16,000.
MAX_GLOBAL_DIMENSIONS = 4000


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """What a network says of one image, unchecked and in the network's own order.

    Parameters
    ----------
    locations : float32 array [n, 2]
        (y, x) in pixels of the image that the network saw, 0 at the first pixel's centre.
    descriptors : float32 array [n, d]
    scales : float32 array [n]
        Of the image pyramid: 2.0 is an enlarged image.
    attention : float32 array [n]
        All ones where the network does not tell.
    global_descriptors : float32 array [s, g], optional
        One for each scale.
    """

    locations: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    scales: NDArray[np.float32]
    attention: NDArray[np.float32]
    global_descriptors: NDArray[np.float32] | None


@dataclass(frozen=True)
class Family:
    """What the inputs and outputs of one kind of export are called.

    `inputs` maps a quantity to the export's name for it; of them only the image must be there.
    """

    inputs: Mapping[str, str]
    required_outputs: tuple[str, ...]
    optional_outputs: tuple[str, ...]

    @property
    def image(self) -> str:
        """The export's name for its only indispensable input."""
        return self.inputs["image"]

    def __str__(self) -> str:
        return f"({', '.join(self.inputs.values())}) -> {', '.join(self.required_outputs)}"


# tfhub.dev/google/delf/1, and Landmark's own models.
HUB = Family(
    {
        "image": "image",
        "scales": "image_scales",
        "threshold": "score_threshold",
        "max_features": "max_feature_num",
    },
    ("locations", "descriptors"),
    ("feature_scales", "scales", "attention"),
)
GLOBALS = ("global_descriptors", "global_descriptor")
# tensorflow/models, research/delf: export_local_model.py, export_local_and_global_model.py.
GARDEN = Family(
    {
        "image": "input_image",
        "scales": "input_scales",
        "threshold": "input_abs_thres",
        "max_features": "input_max_feature_num",
        "global_scales": "input_global_scales_ind",
    },
    ("boxes", "features", "scales", "scores"),
    GLOBALS,
)


@dataclass(frozen=True)
class Network:
    """A callable of a SavedModel, and how to speak to it.

    Parameters
    ----------
    family : Family
    function : callable
        Takes tensors by keyword, gives a dict of tensors.
    dtypes : dict of str to tf.DType
        Of the inputs that the function takes.
    owner : object
        The loaded SavedModel: its variables live no longer than it does.
    """

    family: Family
    function: Callable[..., Mapping[str, Any]]
    dtypes: Mapping[str, Any]
    owner: Any

    def __call__(self, pixels: NDArray[np.uint8], model: ModelConfig) -> RawFeatures:
        """Run the network on RGB pixels [h, w, 3]; raises what TensorFlow raises."""
        import tensorflow as tf

        is_float = self.dtypes[self.family.image].is_floating
        values = {
            "image": pixels.astype(np.float32) / np.float32(255) if is_float else pixels,
            "scales": model.image_scales,
            "threshold": model.score_threshold,
            "max_features": model.max_features,
            "global_scales": list(range(len(model.image_scales))),
        }
        named = {name: values[quantity] for quantity, name in self.family.inputs.items()}
        tensors = {
            name: tf.constant(named[name], dtype=dtype) for name, dtype in self.dtypes.items()
        }
        return _raw_features({name: out.numpy() for name, out in self.function(**tensors).items()})


def find_network(saved_model: Any, model: ModelConfig) -> Network:
    """The callable of a loaded SavedModel that gives DELF features.

    Looks at every signature, since names differ between exports; then, for graphs of
    TensorFlow 1 without one, at the tensors' names, as DELF's extractor.py does.

    Raises
    ------
    LandmarkError
        If there is none; names the signatures that there are.
    """
    signatures = getattr(saved_model, "signatures", {})
    for function in signatures.values():
        dtypes = {n: spec.dtype for n, spec in function.structured_input_signature[1].items()}
        for family in (HUB, GARDEN):
            if _speaks(family, dtypes, function.structured_outputs):
                return Network(family, function, dtypes, saved_model)
    pruned = _pruned_network(saved_model)
    if pruned:
        return pruned
    found = "; ".join(
        f"{name}({', '.join(function.structured_input_signature[1])}) -> "
        f"{', '.join(sorted(function.structured_outputs))}"
        for name, function in signatures.items()
    )
    raise LandmarkError(
        f"model {model.handle}: no signature of DELF; found {found or 'none'}; "
        f"wanted {HUB} or {GARDEN}; set LANDMARK_MODEL to such a model"
    )


def check_outputs(network: Network, model: ModelConfig) -> None:
    """Refuse a model whose features cannot be kept.

    By what it gives of a picture of noise, unless it declares that these do fit, which saves a run.

    Raises
    ------
    LandmarkError
        If its descriptors have no dimensions, or too many.
    """
    import tensorflow as tf

    declared = getattr(network.function, "structured_outputs", {})
    if not set(GLOBALS) & set(declared) and any(
        name in declared and declared[name].shape.rank == 2 and declared[name].shape[1]
        for name in ("descriptors", "features")
    ):
        return
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    try:
        found = network(noise, model)
    except tf.errors.OpError:
        return  # which images it fails on, and why, is told of these
    shape = found.descriptors.shape
    if len(shape) != 2 or shape[1] == 0:
        raise LandmarkError(
            f"model {model.handle}: gives descriptors of shape {shape} where [features, "
            f"dimensions] was wanted; export it with such an output, also where there is no feature"
        )
    pooled = found.global_descriptors
    if pooled is not None and not 0 < pooled.shape[-1] <= MAX_GLOBAL_DIMENSIONS:
        raise LandmarkError(
            f"model {model.handle}: gives global descriptors of {pooled.shape[-1]:,} dimensions, "
            f"where 1 to {MAX_GLOBAL_DIMENSIONS:,} can be indexed; export it with fewer, or "
            f"without them: Landmark makes its own"
        )


def _speaks(family: Family, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
    """Whether a signature gives what the family gives and asks for nothing else."""
    known = set(family.inputs.values())
    understood = family.image in inputs and known.issuperset(inputs)
    return understood and set(family.required_outputs).issubset(outputs)


def _pruned_network(saved_model: Any) -> Network | None:
    """The model garden's tensors of a TensorFlow 1 graph, cut out by their names."""
    if not hasattr(saved_model, "prune"):
        return None
    operations = {op.name: op for op in saved_model.graph.get_operations()}
    inputs = [name for name in GARDEN.inputs.values() if name in operations]
    outputs = [
        name for name in GARDEN.required_outputs + GARDEN.optional_outputs if name in operations
    ]
    dtypes = {name: operations[name].outputs[0].dtype for name in inputs}
    if not _speaks(GARDEN, dtypes, dict.fromkeys(outputs)):
        return None
    cut = saved_model.prune([f"{n}:0" for n in inputs], [f"{n}:0" for n in outputs])

    def function(**tensors: Any) -> dict[str, Any]:
        return dict(zip(outputs, cut(*(tensors[name] for name in inputs)), strict=True))

    return Network(GARDEN, function, dtypes, saved_model)


def _raw_features(outputs: Mapping[str, NDArray[Any]]) -> RawFeatures:
    """Outputs of either family in one form."""
    found = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    if "boxes" in found:  # [n, 4] ymin, xmin, ymax, xmax of the receptive field
        locations = (found["boxes"][:, :2] + found["boxes"][:, 2:]) * np.float32(0.5)
        descriptors = found["features"]
    else:
        locations, descriptors = found["locations"], found["descriptors"]
    n = len(locations)
    # Both families give the inverse of the pyramid's scale: the size of what was seen.
    sizes = found.get("feature_scales", found.get("scales", np.ones(n, np.float32)))
    attention = found.get("attention", found.get("scores", np.ones(n, np.float32)))
    pooled = found.get("global_descriptors", found.get("global_descriptor"))
    with np.errstate(divide="ignore"):
        return RawFeatures(
            locations=locations.reshape(n, 2),
            descriptors=descriptors,
            scales=np.float32(1) / sizes.reshape(n),
            attention=attention.reshape(n),
            global_descriptors=None if pooled is None else np.atleast_2d(pooled),
        )
