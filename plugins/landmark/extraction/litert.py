"""A network in LiteRT, TensorFlow's small runtime, with the steps round it: pixels -> features.

For models whose folder has a `LITERT_FILE`, which `training.export` writes beside the SavedModel
from the same weights. It starts in a fraction of TensorFlow's time and memory.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.keypoints import bilinear_samples, local_maxima, refined, scaled_image
from landmark.extraction.models import ModelConfig
from landmark.extraction.signatures import RawFeatures

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

# The file's signatures. IMAGE: `image` float32 [1, h, w, 3], RGB in 0..1, sides multiples of the
# last level's stride -> `logits` [1, h, w] of the score, `level_0` [1, h / 2, w / 2, c], `level_1`
# of half its sides, and so on. KEYPOINTS: `samples` float32 [n, c] of all levels -> `descriptors`.
IMAGE, KEYPOINTS = "image", "keypoints"
# Scales take turns with them: one alone spends a fifth of its time on memory for the next size,
# one for each scale takes the memory of all.
INTERPRETERS = 2


class LiteRTNetwork:
    """A network of `training.network`, loaded; one thread at a time may call it.

    Parameters
    ----------
    path : Path
    threads : int
        That compute at once; features are the same bytes, whatever their number.

    Raises
    ------
    LandmarkError
        If the file is none of `training.export`.
    """

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            # The last for keypoints alone: an interpreter that has a runner lets nobody look into
            # its memory, and a runner copies what comes out, 25 MB for an image of 800 px.
            *self._interpreters, head = (
                Interpreter(str(path), num_threads=threads) for _ in range(INTERPRETERS + 1)
            )
            image = self._interpreters[0].get_signature_runner(IMAGE)
            outputs = image.get_output_details()
            self._image = image.get_input_details()["image"]["index"]
            self._logits = outputs.pop("logits")["index"]
            self._levels = [outputs[name]["index"] for name in sorted(outputs)]
            self._describe = head.get_signature_runner(KEYPOINTS)
            self._dimensions = int(self._describe.get_output_details()["descriptors"]["shape"][-1])
        except (ValueError, RuntimeError, KeyError) as error:
            raise LandmarkError(
                f"{path}: no network of training.export ({error}); export the model again, or "
                f"remove that file to use the SavedModel beside it"
            ) from error

    def __call__(self, pixels: NDArray[np.uint8], model: ModelConfig) -> RawFeatures:
        """Local features of RGB pixels [h, w, 3] over the model's image pyramid."""
        image = pixels.astype(np.float32) / np.float32(255)
        try:
            found = [
                self._at_scale(image, scale, model, self._interpreters[index % INTERPRETERS])
                for index, scale in enumerate(model.image_scales)
            ]
        except Exception as error:
            # Arrays in these frames refer to the interpreter's memory, and keep it from running.
            traceback.clear_frames(error.__traceback__)
            raise
        locations, descriptors, scores = map(np.concatenate, zip(*found, strict=True))
        scales = np.repeat(
            np.array(model.image_scales, np.float32), [len(one) for *_, one in found]
        )
        best = np.argsort(-scores, kind="stable")[: model.max_features]
        return RawFeatures(locations[best], descriptors[best], scales[best], scores[best], None)

    def _at_scale(
        self, image: NDArray[np.float32], scale: float, model: ModelConfig, interpreter: Interpreter
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Locations in pixels of `image`, descriptors and scores found at one scale."""
        scaled = scaled_image(image, scale)
        height, width = scaled.shape[:2]
        self._run_on(scaled, interpreter)
        logits = interpreter.tensor(self._logits)()[0, :height, :width]
        places, scores = local_maxima(logits, model.score_threshold, model.max_features)
        points = refined(logits, places)
        levels = [interpreter.tensor(level)()[0] for level in self._levels]
        samples = bilinear_samples(levels, points)
        descriptors = np.empty((0, self._dimensions), np.float32)
        if len(samples):
            descriptors = self._describe(samples=samples)["descriptors"]
        half = np.float32(0.5)
        enlargement = np.divide(scaled.shape[:2], image.shape[:2], dtype=np.float32)
        return (points + half) / enlargement - half, descriptors, scores

    def _run_on(self, image: NDArray[np.float32], interpreter: Interpreter) -> None:
        """Run the network on an image, its last row and column repeated up to the stride."""
        height, width = image.shape[:2]
        stride = 2 ** len(self._levels)
        rows, columns = (-(-side // stride) * stride for side in (height, width))
        interpreter.resize_tensor_input(self._image, [1, rows, columns, 3])
        interpreter.allocate_tensors()
        seen = interpreter.tensor(self._image)()[0]
        seen[:height, :width] = image
        seen[height:, :width] = image[-1]
        seen[:, width:] = seen[:, width - 1 : width]
        del seen  # as above
        interpreter.invoke()
