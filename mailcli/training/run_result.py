"""result.json of a finished run, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mailcli.config import RunConfig
from mailcli.errors import MailError
from mailcli.utils.parsing import read_json

_METRICS = ("AUC", "GAUC")


def read_result(path: Path, config: RunConfig) -> dict[str, Any]:
    """The contents of a run's result.json.

    Raises:
        MailError: it is not the result of a run with this config, or a metric is not a number from 0 to 1.
    """
    try:
        result = dict(read_json(path)) if path.is_file() else {}
        is_valid = _belongs_to(result, config) and _has_valid_metrics(result["test"])
    except (ValueError, KeyError, TypeError, AttributeError):
        is_valid = False
    if not is_valid:
        raise MailError(f"{path}: is damaged. Delete the folder and run its `mail train` command again.")
    return result


def _belongs_to(result: dict[str, Any], config: RunConfig) -> bool:
    values = [result[key] for key in ("cell", "protocol", "seed")]
    return isinstance(result["dataset"], str) and values == [config.cell, config.protocol, config.seed]


def _has_valid_metrics(groups: dict[str, dict[str, Any]]) -> bool:
    metrics = [groups["all"]["one_class_impressions"]]
    for group in groups.values():
        metrics += [group[name] for name in _METRICS if group[name] is not None]
        # A ranker with a pCTCVR has metrics of conversions, too.
        metrics += [value for name, value in group.items() if name.startswith("CTCVR") and value is not None]
    return all(type(metric) in {int, float} and 0 <= metric <= 1 for metric in metrics)
