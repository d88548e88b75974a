"""Two-stage methods that generate the id embedding of new users from their other attributes."""

from __future__ import annotations

import tensorflow as tf

from mailcli.models.coldstart._signatures import SignatureMethod
from mailcli.models.features import Features, Spec, Tensor


class GeneratedIdMethod(SignatureMethod):
    """Puts a generated embedding in place of the id's where flag is true; behavior stays empty.

    Such methods were made for untrained ids, which new users have under protocol `strict`. Under `paper` these keep
    their training impressions (on MovieLens-100K about 75 each), so that trained ids are replaced.
    """

    def build_for(self, spec: Spec) -> None:
        """Remember the number of attributes, too."""
        super().build_for(spec)
        self.n_a = spec.n_a

    def generate(self, attributes: Tensor) -> Tensor:
        """φ [B, d] from the other attributes [B, (n_a - 1) d], see `signature`."""
        raise NotImplementedError

    def complete(self, features: Features, training: bool = False) -> Features:
        """Put φ in place of the id embedding where flag is true."""
        del training
        new = features.is_new[:, None]
        return self.with_id(
            features, tf.where(new, self.generate(self.signature(features)), self.id_embedding(features))
        )

    def id_embedding(self, features: Features) -> Tensor:
        """The id embeddings [B, d]."""
        return features.attributes[:, self.id_index]

    def with_id(self, features: Features, embedding: Tensor) -> Features:
        """The features with other id embeddings [B, d]."""
        attributes = tf.unstack(features.attributes, self.n_a, axis=1)
        attributes[self.id_index] = embedding
        return features._replace(attributes=tf.stack(attributes, axis=1))
