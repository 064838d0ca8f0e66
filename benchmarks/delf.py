"""DELF's network, for its cost."""

from __future__ import annotations

from typing import Any


def delf_network() -> Any:
    """DELF's network with random weights, which change nothing about its cost.

    ResNet-50 up to its fourth block of convolutions, and an attention of two layers on top (Noh et
    al., "Large-Scale Image Retrieval with Attentive Deep Local Features", 2017, section 4.2).

    Returns
    -------
    keras.Model
        From float32 [b, h, w, 3] to features [b, h / 16, w / 16, 1024] and attention [b, …, 1].
    """
    from tensorflow import keras

    body = keras.applications.ResNet50(include_top=False, weights=None)
    features = body.get_layer("conv4_block6_out").output
    hidden = keras.layers.Conv2D(512, 1, activation="relu")(features)
    attention = keras.layers.Conv2D(1, 1, activation="softplus")(hidden)
    return keras.Model(body.input, [features, attention])
