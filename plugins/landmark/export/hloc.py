"""The files of hloc, the hierarchical localization toolbox: features.h5, matches.h5, pairs.txt.

As its `extract_features`, `match_features` and `pairs_from_retrieval` write them (Sarlin et al.,
"From Coarse to Fine: Robust Hierarchical Localization at Large Scale", 2019;
https://github.com/cvg/Hierarchical-Localization).
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from landmark.errors import LandmarkError
from landmark.export.files import written_whole
from landmark.export.scene import Scene

FEATURES, MATCHES, PAIRS = "features.h5", "matches.h5", "pairs.txt"


def export_hloc(scene: Scene, folder: Path) -> None:
    """Write a scene's features, the matches that agree, and the list of pairs into a folder.

    Raises
    ------
    LandmarkError
        If one of the files is there already, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LandmarkError(f"{folder}: no folder ({error.strerror}); name another") from error
    with written_whole(folder / FEATURES) as unfinished, h5py.File(unfinished, "w") as file:
        for name, features in zip(scene.names, scene.features, strict=True):
            group = file.create_group(name)
            group["keypoints"] = features.locations[:, ::-1]  # x, y; origin as ours
            group["descriptors"] = features.descriptors.T
            group["scores"] = features.attention
            group["image_size"] = np.array([features.width, features.height])
    with written_whole(folder / MATCHES) as unfinished, h5py.File(unfinished, "w") as file:
        for pair in scene.pairs():
            first, second = (scene.names[end].replace("/", "-") for end in pair[:2])
            # Of each feature of the first image that of the second, or -1.
            matches = np.full(len(scene.features[pair.first].locations), -1, np.int32)
            agreeing = pair.putative[pair.inliers]
            matches[agreeing[:, 0]] = agreeing[:, 1]
            group = file.require_group(first).create_group(second)
            group["matches0"] = matches
            group["matching_scores0"] = (matches >= 0).astype(np.float16)
    with written_whole(folder / PAIRS) as unfinished:
        lines = [f"{scene.names[first]} {scene.names[second]}\n" for first, second in scene.edges]
        unfinished.write_text("".join(lines))
