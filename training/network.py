"""The student: a small fully convolutional network for keypoints and local descriptors.

Five levels at strides 2 to 32. The image enters as 2x2 blocks of pixels and the score leaves the
same way, so keypoints have full resolution while no layer computes at it. Descriptors are computed
at keypoints only, from the features of all levels there.
"""

from __future__ import annotations

import tensorflow as tf

from landmark.extraction.keypoints import RADIUS_PX

STRIDES = (2, 4, 8, 16, 32)
CHANNELS = (32, 48, 80, 128, 160)
SCORE_CHANNELS = 16
HIDDEN_UNITS = 384

_BATCH_NORM_EPSILON = 1e-3
_BATCH_NORM_MOMENTUM = 0.98


class Convolution(tf.Module):
    """A convolution, 'SAME' and stride 1, with a bias or followed by batch normalisation.

    Parameters
    ----------
    size
        Kernel height and width, px.
    inputs, outputs
        Channels.
    normalised
        Whether batch normalisation follows; a bias is learnt otherwise.
    """

    def __init__(self, size: int, inputs: int, outputs: int, normalised: bool = True) -> None:
        super().__init__()
        initial = tf.keras.initializers.HeNormal()
        self.kernel = tf.Variable(tf.convert_to_tensor(initial([size, size, inputs, outputs])))
        self.bias = tf.Variable(tf.zeros([outputs]))
        self.normalised = normalised
        if normalised:
            self.gain = tf.Variable(tf.ones([outputs]))
            self.mean = tf.Variable(tf.zeros([outputs]), trainable=False)
            self.variance = tf.Variable(tf.ones([outputs]), trainable=False)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Map [b, h, w, inputs] to [b, h, w, outputs]; `training` updates the running figures."""
        if not self.normalised or not training:
            kernel, bias = self.folded()
            return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
        y, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(
            tf.nn.conv2d(x, self.kernel, 1, "SAME"),
            self.gain,
            self.bias,
            epsilon=_BATCH_NORM_EPSILON,
            is_training=True,
        )
        self.mean.assign_sub((1 - _BATCH_NORM_MOMENTUM) * (self.mean - mean))
        self.variance.assign_sub((1 - _BATCH_NORM_MOMENTUM) * (self.variance - variance))
        return y

    def at_points(self, x: tf.Tensor) -> tf.Tensor:
        """Map [..., n, inputs] to [..., n, outputs]; of a layer of size 1 without normalisation.

        As a product of matrices: on some processors TensorFlow's convolution of no points at all
        (n = 0) is an error.
        """
        return tf.tensordot(x, self.kernel[0, 0], 1) + self.bias

    def folded(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel and bias of the plain convolution that inference amounts to."""
        if not self.normalised:
            return tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        gain = self.gain * tf.math.rsqrt(self.variance + _BATCH_NORM_EPSILON)
        return self.kernel * gain, self.bias - self.mean * gain

    def fold(self) -> None:
        """Become that plain convolution; training is over then."""
        if self.normalised:
            kernel, bias = self.folded()
            self.kernel.assign(kernel)
            self.bias.assign(bias)
            self.normalised = False
            del self.gain, self.mean, self.variance


class Network(tf.Module):
    """Score logits of every pixel, and descriptors at chosen locations.

    Parameters
    ----------
    descriptor_size
        Length of a descriptor.
    """

    def __init__(self, descriptor_size: int) -> None:
        super().__init__()
        self.descriptor_size = descriptor_size
        inputs = (3 * STRIDES[0] ** 2, *CHANNELS[:-1])
        self.entries = [Convolution(3, i, o) for i, o in zip(inputs, CHANNELS, strict=True)]
        self.residuals = [Convolution(3, o, o) for o in CHANNELS]
        self.score_levels = [Convolution(1, o, SCORE_CHANNELS, False) for o in CHANNELS]
        self.score_hidden = Convolution(3, SCORE_CHANNELS, SCORE_CHANNELS)
        self.score_output = Convolution(1, SCORE_CHANNELS, STRIDES[0] ** 2, False)
        # A keypoint is rare: start from its prior, so that the first steps do not unlearn a half.
        self.score_output.bias.assign_sub(4.0 * tf.ones_like(self.score_output.bias))
        self.descriptor_hidden = Convolution(1, sum(CHANNELS), HIDDEN_UNITS, False)
        self.descriptor_output = Convolution(1, HIDDEN_UNITS, descriptor_size, False)

    @property
    def convolutions(self) -> list[Convolution]:
        """Every layer."""
        return [module for module in self.submodules if isinstance(module, Convolution)]

    def levels(self, images: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Features of each stride.

        Parameters
        ----------
        images
            float32 [b, h, w, 3], RGB in 0..1, sides multiples of the last stride.
        training
            Whether batch normalisation uses and updates the batch's figures.

        Returns
        -------
        list of float32 [b, h / stride, w / stride, channels]
        """
        x = tf.nn.space_to_depth(images * 4.0 - 2.0, STRIDES[0])
        levels = []
        for index, (entry, residual) in enumerate(zip(self.entries, self.residuals, strict=True)):
            if index:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = tf.nn.relu(entry(x, training))
            x = tf.nn.relu(x + residual(x, training))
            levels.append(x)
        return levels

    def score_logits(self, levels: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits [b, h, w] of the keypoint score, from what `levels` returned."""
        size = tf.shape(levels[0])[1:3]
        projected = [conv(x) for conv, x in zip(self.score_levels, levels, strict=True)]
        x = projected[0]
        for level in projected[1:]:  # not add_n: LiteRT's sums in another order by several threads
            x += tf.image.resize(level, size)
        x = tf.nn.relu(self.score_hidden(tf.nn.relu(x), training))
        return tf.nn.depth_to_space(self.score_output(x), STRIDES[0])[..., 0]

    def descriptors(self, levels: list[tf.Tensor], locations: tf.Tensor) -> tf.Tensor:
        """Descriptors at locations.

        Parameters
        ----------
        levels
            What `levels` returned.
        locations
            float32 [b, n, 2], (y, x) in px, origin at the centre of the top left pixel.

        Returns
        -------
        float32 [b, n, descriptor_size], unit length.
        """
        sampled = [
            bilinear_samples(level, (locations + 0.5) / stride - 0.5)
            for level, stride in zip(levels, STRIDES, strict=True)
        ]
        return self.described(tf.concat(sampled, axis=2))

    def described(self, samples: tf.Tensor) -> tf.Tensor:
        """Descriptors [..., n, d], unit length, from samples [..., n, c] of all levels."""
        x = tf.nn.relu(self.descriptor_hidden.at_points(samples))
        return tf.math.l2_normalize(self.descriptor_output.at_points(x), axis=-1)


def bilinear_samples(maps: tf.Tensor, locations: tf.Tensor) -> tf.Tensor:
    """Values [b, n, c] of maps [b, h, w, c] at locations [b, n, 2] (y, x), clamped to the edge."""
    last = tf.shape(maps)[1:3] - 1
    where = tf.clip_by_value(locations, 0.0, tf.cast(last, tf.float32))
    low = tf.cast(tf.floor(where), tf.int32)
    high = tf.minimum(low + 1, last)
    fraction = where - tf.cast(low, tf.float32)
    fy, fx = fraction[..., :1], fraction[..., 1:]

    def corner(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(maps, tf.stack([y[..., 0], x[..., 1]], axis=-1), batch_dims=1)

    top = corner(low, low) * (1 - fx) + corner(low, high) * fx
    bottom = corner(high, low) * (1 - fx) + corner(high, high) * fx
    return top * (1 - fy) + bottom * fy


def local_maxima(
    score: tf.Tensor, count: tf.Tensor, border: int, radius: int = RADIUS_PX
) -> tuple[tf.Tensor, tf.Tensor]:
    """The best maxima of a score map.

    Parameters
    ----------
    score
        float32 [h, w].
    count
        int32 scalar, most maxima returned.
    border
        px at each side without maxima.
    radius
        A maximum is the strictly largest value of the square of `radius` px around it.

    Returns
    -------
    locations
        int32 [n, 2], (y, x) in px, best first, n <= `count`.
    values
        float32 [n].
    """
    size = 2 * radius + 1
    largest = tf.nn.max_pool2d(score[tf.newaxis, :, :, tf.newaxis], size, 1, "SAME")[0, :, :, 0]
    y = tf.range(tf.shape(score)[0])[:, tf.newaxis]
    x = tf.range(tf.shape(score)[1])[tf.newaxis]
    inside = (
        (y >= border)
        & (y < tf.shape(score)[0] - border)
        & (x >= border)
        & (x < tf.shape(score)[1] - border)
    )
    # A plateau has no position: its pixels all equal the maximum, and its mean does too.
    mean = tf.nn.avg_pool2d(score[tf.newaxis, :, :, tf.newaxis], size, 1, "SAME")[0, :, :, 0]
    locations = tf.cast(tf.where(inside & (score >= largest) & (score > mean)), tf.int32)
    values = tf.gather_nd(score, locations)
    values, order = tf.math.top_k(values, tf.minimum(count, tf.size(values)))
    return tf.gather(locations, order), values
