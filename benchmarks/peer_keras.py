"""DeepCTR's models, made as its users make them, and Keras' training step."""

from __future__ import annotations

import os
import sys
import types
from typing import Any

from peer_step import STEP_FIELDS, Columns, Trainer, single_fields

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Its DIN with two fields per step fails with Keras 3, and so does its Wide & Deep with a number in the linear part.
os.environ["TF_USE_LEGACY_KERAS"] = "1"


def deepctr(model_name: str, settings: dict[str, Any], batches: list[Columns]) -> Trainer:
    """DeepCTR's model and Keras' `train_on_batch`."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
    # Its import asks the package registry for the newest version.
    utils = types.ModuleType("deepctr.utils")
    utils.check_version = lambda _: None  # type: ignore[attr-defined]
    sys.modules["deepctr.utils"] = utils
    from deepctr.feature_column import DenseFeat, SparseFeat, VarLenSparseFeat
    from deepctr.models import DIN, WDL

    sizes, dim, units = settings["sizes"], settings["dim"], settings["units"]
    columns = [SparseFeat(name, sizes[name], embedding_dim=dim) for name in single_fields(settings)]
    for name in STEP_FIELDS:
        steps = SparseFeat(f"hist_{name}", sizes[name], embedding_dim=dim, embedding_name=name)
        columns.append(VarLenSparseFeat(steps, settings["history"], combiner="sum", length_name="length"))
    columns.append(DenseFeat("price", 1))
    network = {"dnn_hidden_units": units, "dnn_dropout": settings["dropout"], "l2_reg_embedding": 0}
    if model_name == "DIN":
        scorer = {"att_hidden_size": settings["scorer"], "att_activation": "sigmoid"}
        model = DIN(columns, list(STEP_FIELDS), dnn_use_bn=True, **scorer, **network)
    else:
        # Nearly a DNN: its Wide & Deep fails without a linear part. It has no batch normalization.
        weekday = SparseFeat("weekday", sizes["weekday"], embedding_dim=dim)
        model = WDL([weekday], columns, l2_reg_linear=0, **network)
    model.compile("adam", "binary_crossentropy")
    inputs = [
        {name: tf.constant(batch[name].reshape(len(batch["click"]), -1)) for name in model.input_names}
        for batch in batches
    ]
    clicks = [tf.constant(batch["click"]) for batch in batches]
    # The network's first layer is the widest with its number of outputs.
    inputs_of_first = max(weights.shape[0] for weights in model.trainable_weights if weights.shape[1:] == (units[0],))
    return Trainer(lambda index: float(model.train_on_batch(inputs[index], clicks[index])), inputs_of_first)
