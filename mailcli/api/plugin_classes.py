"""The base classes of rankers and cold-start methods; importing this module starts TensorFlow."""

from mailcli.utils.tensorflow_startup import load_tensorflow

# Without its usual messages.
load_tensorflow()

from mailcli.models.contracts import ColdStartMethod  # noqa: E402
from mailcli.models.contracts import RankingTower as Ranker  # noqa: E402

__all__ = ["ColdStartMethod", "Ranker"]
