"""Small networks in NumPy, with the weights of Keras' layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.features import layer_weights
from tests.helpers.oracles import leaky

#: Keras' epsilon of batch normalization.
BATCH_NORM_EPSILON = 1e-3


def tower(layer: Any, x: np.ndarray) -> np.ndarray:
    """LeakyReLU(BN(Dense(x))), layer by layer, of a `Tower` that does not train."""
    for dense, norm in zip(layer.hidden, layer.norm, strict=True):
        kernel, bias = layer_weights(dense)
        gamma, beta, mean, variance = layer_weights(norm)
        x = leaky((x @ kernel + bias - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * gamma + beta)
    return x


def dense_one(layer: Any, x: np.ndarray) -> np.ndarray:
    """[B], a Dense layer with one output."""
    kernel, bias = layer_weights(layer)
    return (x @ kernel + bias)[:, 0]


def deep(ranker: Any, x: np.ndarray) -> np.ndarray:
    """[B], Dense_1(tower(x)) of a `TowerRanker`."""
    return dense_one(ranker.logit, tower(ranker.tower, x))


def two_layers(layers: Any, x: np.ndarray) -> np.ndarray:
    """Dense(LeakyReLU(Dense(x)))."""
    (w1, b1), (w2, b2) = (layer_weights(layer) for layer in layers)
    return np.asarray(leaky(x @ w1 + b1) @ w2 + b2)


def attention_pooling(layer: Any, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[B, d], MAIL Eq. (1): Σ softmax(<z, tanh(W x_i + b)>) x_i over the steps of a mask [B, n]."""
    w, b, z = layer_weights(layer)
    e = np.where(mask, (np.tanh(x @ w + b) @ z)[..., 0], -np.inf)
    alpha = np.exp(e - e.max(axis=1, keepdims=True))
    alpha /= alpha.sum(axis=1, keepdims=True)
    return np.asarray((alpha[..., None] * x).sum(axis=1))


def fields(x: dict[str, np.ndarray]) -> np.ndarray:
    """[B, n, d], attributes, context, target and the mean of all n_v steps."""
    behavior = x["behaviors"].mean(axis=1, keepdims=True)
    return np.concatenate([x["attributes"], x["context"], x["target"], behavior], axis=1)


def pooled(x: dict[str, np.ndarray]) -> np.ndarray:
    """[B, 4d], [Σ a, Σ v, Σ c, Σ t]."""
    return np.concatenate([x[name].sum(axis=1) for name in ("attributes", "behaviors", "context", "target")], axis=1)
