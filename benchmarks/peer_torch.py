"""The models of FuxiCTR and DeepCTR-Torch, made as their users make them, and their training steps."""

from __future__ import annotations

import json
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peer_step import LEARNING_RATE, STEP_FIELDS, Columns, Trainer, single_fields

#: FuxiCTR's `fit` limits the norm of the gradient to this by default.
FUXICTR_GRADIENT_NORM = 10.0


def fuxictr(model_name: str, settings: dict[str, Any], batches: list[Columns]) -> Trainer:
    """FuxiCTR's model and its own `train_step`."""
    torch.set_num_threads(settings["threads"])
    feature_map = fuxictr_features(model_name, settings)
    model = (fuxictr_din if model_name == "DIN" else fuxictr_dnn)(feature_map, settings)
    model._max_gradient_norm, model._batch_index = FUXICTR_GRADIENT_NORM, 0
    model.train()
    tensors = [{name: torch.from_numpy(column) for name, column in batch.items()} for batch in batches]
    named = [*feature_map.features, "click"]
    if model_name == "DIN":
        inputs: list[Any] = [fuxictr_din_inputs(batch, named) for batch in tensors]
    else:
        inputs = [{name: batch[name] for name in named} for batch in tensors]
    return trainer(model, "optimizer", lambda index: model.train_step(inputs[index]).item())


def fuxictr_features(model_name: str, settings: dict[str, Any]) -> Any:
    """The feature map, read from JSON as FuxiCTR's preprocessing leaves it."""
    from fuxictr.features import FeatureMap

    features: dict[str, Any] = {
        name: {"type": "categorical", "source": "context", "vocab_size": settings["sizes"][name], "padding_idx": 0}
        for name in single_fields(settings)
    }
    features["price"] = {"type": "numeric", "source": "context"}
    for name in STEP_FIELDS:
        if model_name == "DIN":
            # Its DIN takes the width of a step from the fields with this source, and gets steps and target together.
            features[name]["source"] = "item"
        else:
            features[f"hist_{name}"] = {
                **features[name],
                "type": "sequence",
                "max_len": settings["history"],
                "share_embedding": name,
                "feature_encoder": "layers.MaskedSumPooling()",
            }
    listed = [{name: feature} for name, feature in features.items()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "feature_map.json")
        path.write_text(json.dumps({"dataset_id": "alimama", "labels": ["click"], "features": listed}))
        feature_map = FeatureMap("alimama", folder)
        feature_map.load(str(path), {"embedding_dim": settings["dim"]})
    return feature_map


def fuxictr_training() -> dict[str, Any]:
    """What every FuxiCTR model is given."""
    return {
        "optimizer": "adam",
        "loss": "binary_crossentropy",
        "learning_rate": LEARNING_RATE,
        "metrics": ["AUC"],
        "model_root": tempfile.gettempdir(),
        "verbose": 0,
    }


def fuxictr_din(feature_map: Any, settings: dict[str, Any]) -> Any:
    """The DIN in FuxiCTR's package."""
    from model_zoo.LongCTR.DIN.DIN import DIN

    return DIN(
        feature_map,
        embedding_dim=settings["dim"],
        dnn_hidden_units=settings["units"],
        net_dropout=settings["dropout"],
        batch_norm=True,
        attention_hidden_units=settings["scorer"],
        attention_hidden_activations="Sigmoid",
        **fuxictr_training(),
    )


def fuxictr_din_inputs(batch: dict[str, torch.Tensor], named: list[str]) -> tuple[Any, Any, torch.Tensor]:
    """What the package's loader gives its DIN: the fields, those of steps and target in one, and the mask."""
    fields = {name: batch[name] for name in named if name not in STEP_FIELDS}
    items = {name: torch.cat([batch[f"hist_{name}"], batch[name][:, None]], dim=1).flatten() for name in STEP_FIELDS}
    return fields, items, (batch["hist_cate"] > 0).float()


def fuxictr_dnn(feature_map: Any, settings: dict[str, Any]) -> Any:
    """A DNN of FuxiCTR's parts, as its package has none: all fields side by side, then its `MLP_Block`."""
    from fuxictr.pytorch.layers import FeatureEmbedding, MLP_Block
    from fuxictr.pytorch.models import BaseModel

    class DNN(BaseModel):
        """The model of FuxiCTR's parts."""

        def __init__(self) -> None:
            training = fuxictr_training()
            super().__init__(feature_map, model_id="DNN", **training)
            self.fields = FeatureEmbedding(feature_map, settings["dim"])
            self.network = MLP_Block(
                input_dim=feature_map.sum_emb_out_dim(),
                output_dim=1,
                hidden_units=settings["units"],
                output_activation=self.output_activation,
                dropout_rates=settings["dropout"],
                batch_norm=True,
            )
            self.compile(training["optimizer"], training["loss"], training["learning_rate"])
            self.reset_parameters()

        def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            """The probability of a click."""
            return {"y_pred": self.network(self.fields(self.get_inputs(inputs), flatten_emb=True))}

    return DNN()


def deepctr_torch(model_name: str, settings: dict[str, Any], batches: list[Columns]) -> Trainer:
    """DeepCTR-Torch's model, and the step in its `fit`."""
    torch.set_num_threads(settings["threads"])
    # Its import asks the package registry for the newest version.
    utils = types.ModuleType("deepctr_torch.utils")
    utils.check_version = lambda _: None  # type: ignore[attr-defined]
    sys.modules["deepctr_torch.utils"] = utils
    from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat, get_feature_names
    from deepctr_torch.models import DIN, WDL

    sizes, dim = settings["sizes"], settings["dim"]
    columns = [SparseFeat(name, sizes[name], embedding_dim=dim) for name in single_fields(settings)]
    for name in STEP_FIELDS:
        steps = SparseFeat(f"hist_{name}", sizes[name], embedding_dim=dim, embedding_name=name)
        columns.append(VarLenSparseFeat(steps, settings["history"], combiner="sum", length_name="length"))
    columns.append(DenseFeat("price", 1))
    network = {
        "dnn_hidden_units": settings["units"],
        "dnn_dropout": settings["dropout"],
        "dnn_use_bn": True,
        "l2_reg_embedding": 0,
    }
    if model_name == "DIN":
        model = DIN(columns, list(STEP_FIELDS), att_hidden_size=settings["scorer"], att_activation="sigmoid", **network)
    else:
        # Without columns for its linear part, Wide & Deep is a DNN.
        model = WDL([], columns, l2_reg_linear=0, **network)
    model.compile("adam", "binary_crossentropy")
    model.train()
    names = get_feature_names(columns)
    # `fit` puts all columns into one matrix of floating-point numbers.
    inputs = [
        torch.cat([torch.from_numpy(batch[name]).float().reshape(len(batch["click"]), -1) for name in names], dim=1)
        for batch in batches
    ]
    clicks = [torch.from_numpy(batch["click"]) for batch in batches]

    def step(index: int) -> float:
        probability = model(inputs[index]).squeeze(-1)
        model.optim.zero_grad()
        loss = model.loss_func(probability, clicks[index], reduction="sum")
        (loss + model.get_regularization_loss() + model.aux_loss).backward()
        model.optim.step()
        return loss.item() / len(probability)

    return trainer(model, "optim", step)


def trainer(model: Any, optimizer: str, step: Callable[[int], float]) -> Trainer:
    """A model with its step and the name of the attribute that holds its optimizer."""

    def fuse() -> None:
        setattr(model, optimizer, torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True))

    # The network's first layer is the widest.
    inputs = max(layer.in_features for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    return Trainer(step, inputs, fuse)
