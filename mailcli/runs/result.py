"""result.json of a finished run: how it begins, and how it is read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailcli.config import RunConfig
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.runs.remedy import TRAIN_AGAIN
from mailcli.utils.parsing import is_number, read_json
from mailcli.utils.system_errors import unreadable

_METRICS = ("AUC", "GAUC")
_COUNTS = ("impressions", "clicks", "users")
#: Metrics that may exceed 1; results of older versions lack them.
_UNBOUNDED_METRICS = ("log loss", "NE")
#: Results of older versions lack it.
_CALIBRATION_ERROR = "ECE"


def result_head(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """The entries of result.json that say which run it is, and on what data."""
    return {
        "cell": config.cell,
        "seed": config.seed,
        "protocol": config.protocol,
        "dataset": dataset.display_name,
    }


def read_result(path: Path, config: RunConfig) -> dict[str, Any]:
    """The contents of a run's result.json.

    Raises:
        MailError: it is not the result of a run with this config, a metric is not a number from 0 to 1, or a count is
            no whole number.
    """
    try:
        result = dict(read_json(path)) if path.is_file() else {}
        is_valid = _belongs_to(result, config) and _has_valid_metrics(result["test"]) and _has_valid_epochs(result)
    except (ValueError, KeyError, TypeError, AttributeError):
        is_valid = False
    except OSError as error:
        raise unreadable(path, error) from error
    if not is_valid:
        raise MailError(f"{path}: is damaged. {TRAIN_AGAIN}")
    return result


def _belongs_to(result: dict[str, Any], config: RunConfig) -> bool:
    values = [result[key] for key in ("cell", "protocol", "seed")]
    return isinstance(result["dataset"], str) and values == [config.cell, config.protocol, config.seed]


def _has_valid_metrics(groups: dict[str, dict[str, Any]]) -> bool:
    shares = [groups["all"]["one_class_impressions"]]
    counts: list[Any] = []
    unbounded: list[Any] = []
    for group in groups.values():
        counts += [group[name] for name in _COUNTS]
        shares += [group[name] for name in _METRICS if group[name] is not None]
        for name, value in group.items():
            # A ranker with a pCTCVR has metrics of conversions, too.
            metric = name.removeprefix("CTCVR ")
            if value is not None and metric in _UNBOUNDED_METRICS:
                unbounded.append(value)
            elif value is not None and (metric == _CALIBRATION_ERROR or metric != name):
                shares.append(value)
    return (
        all(_is_count(value) for value in counts)
        and all(is_number(value, 1) for value in shares)
        and all(is_number(value) for value in unbounded)
    )


def _has_valid_epochs(result: dict[str, Any]) -> bool:
    """Results of older versions lack the curve, and those of two-stage methods have none."""
    curve = result.get("curve", [])
    numbers = [point[key] for point in curve for key in ("epoch", "step")]
    numbers += [result[key] for key in ("best_epoch", "best_step") if curve or result.get(key) is not None]
    aucs = [point[users] for point in curve for users in ("new", "old", "all")]
    return (
        all(map(_is_count, numbers))
        and all(is_number(auc, 1) for auc in aucs if auc is not None)
        and (not curve or result["best_step"] in [point["step"] for point in curve])
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
