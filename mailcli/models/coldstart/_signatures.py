"""What attributes other than the id say about a user: signatures, and two-stage methods that read them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mailcli.models.contracts import ColdStartMethod
from mailcli.models.features import Features, Spec, Tensor


def check_attributes(spec: Spec) -> None:
    """Refuse a dataset whose only attribute is the user id (ValueError)."""
    if spec.n_a < 2:
        raise ValueError("needs user attributes other than the id, but the dataset has none")


def signature_size(spec: Spec) -> int:
    """The width of `signature` (ValueError as `check_attributes`)."""
    check_attributes(spec)
    return (spec.n_a - 1) * spec.dim


def signature(attributes: Tensor, id_index: int) -> Tensor:
    """All attributes [B, n_a, d] but the user id, as [B, (n_a - 1) d]; an id says nothing about other users."""
    indices = [index for index in range(attributes.shape[1]) if index != id_index]
    return tf.reshape(tf.gather(attributes, indices, axis=1), [-1, len(indices) * attributes.shape[2]])


def unit_fields(signatures: Tensor, fields: int) -> Tensor:
    """Signatures [B, F d] with the vector of each of the F attributes scaled to length 1."""
    width = signatures.shape[1] // fields
    unit = tf.math.l2_normalize(tf.reshape(signatures, [-1, fields, width]), axis=2)
    return tf.reshape(unit, [-1, fields * width])


class SignatureMethod(ColdStartMethod):
    """A two-stage method that reads signatures.

    Args:
        settings: the subclass's options by name.
    """

    two_stage = True
    needs_old_users = True

    def __init__(self, settings: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings

    def build_for(self, spec: Spec) -> None:
        """Remember where the id is."""
        self.id_index = spec.id_index

    def signature(self, features: Features) -> Tensor:
        """[B, (n_a - 1) d], see `signature`."""
        return signature(features.attributes, self.id_index)
