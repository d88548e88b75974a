"""`mail runs show`: one run with its settings, versions, test metrics and validation curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mailcli.metrics.calibration import CALIBRATION_METRICS
from mailcli.reporting.columns import number_text
from mailcli.reporting.rows import CONVERSION_METRICS, METRICS, TITLES
from mailcli.reporting.run_list import record, state_text, time_text
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable, text_block, unsigned
from mailcli.runs.environment import versions_and_machine
from mailcli.runs.folder import HISTORY, RunFolder
from mailcli.runs.inventory import ListedRun
from mailcli.runs.settings import other_than_default
from mailcli.utils.sizes import size_text

_CURVE_USERS = ("new", "old", "all")


def run_tables(listed: ListedRun) -> list[TextTable]:
    """What is known about a run: all of it where it is finished, and settings and curve where it is not."""
    if listed.config is None or listed.damage:
        return [_summary(listed, [], {})]
    run = RunFolder(listed.folder, listed.config)
    curve = run.validation_curve() if (run.folder / HISTORY).is_file() else []
    settings = other_than_default(listed.config)
    own = _pairs("settings, where not the default", settings)
    if listed.result is None:
        return [_summary(listed, [own], settings), *_curve(curve, None)]
    environment = versions_and_machine(run.environment)
    blocks = [own, _pairs("versions and machine", environment)]
    if run.cost:
        blocks.append(_pairs("cost", {name: number_text(name, value) for name, value in run.cost.items()}))
    summary = _summary(listed, blocks, {**settings, **environment, **run.cost})
    return [summary, _metrics(listed.result), *_curve(curve, listed.result.get("best_step"))]


def _pairs(title: str, texts: Mapping[str, str]) -> TextBlock:
    """A block of names and values."""
    return text_block(title, [[name, text] for name, text in texts.items()] or [["none", ""]])


def _summary(run: ListedRun, blocks: Sequence[TextBlock], details: Mapping[str, Any]) -> TextTable:
    """What the run is and what has become of it."""
    lines = {"status": state_text(run) if not run.damage else run.status}
    if run.config:
        lines |= {"protocol": run.config.protocol, "cell": run.config.cell, "seed": str(run.config.seed)}
    if run.config and run.result:
        best, cap = run.result.get("best_epoch"), run.config.epochs
        lines |= {"best epoch": f"{best} of at most {cap}"} if best is not None else {}
    lines |= {"size": size_text(run.bytes), "finished" if run.result else "last written": time_text(run.changed)}
    label = run.result["dataset"] if run.result else run.config.data if run.config else "unknown"
    notes = (f"data {label}", *([run.damage] if run.damage else []))
    records = [{"name": name, "value": value} for name, value in {**record(run), **details}.items()]
    return TextTable(str(run.folder), ("", "value"), (_pairs("run", lines), *blocks), notes, records, wraps=True)


def _metrics(result: Mapping[str, Any]) -> TextTable:
    """The metrics of the test split, by group of users."""
    groups = {users: result["test"][users] for users in TITLES if users in result["test"]}
    known = (*METRICS, *CALIBRATION_METRICS, *CONVERSION_METRICS)
    metrics = [name for name in known if any(name in group for group in groups.values())]
    lines = [
        [TITLES[users], *(unsigned(group.get(name)) for name in metrics), f"{group['impressions']:,}"]
        for users, group in groups.items()
    ]
    records = [{"users": users, **group} for users, group in groups.items()]
    head = ("", *metrics, "impressions")
    return TextTable("Test split", head, (text_block("", lines),), (f"data {result['dataset']}",), records)


def _curve(curve: Sequence[Mapping[str, Any]], best_step: int | None) -> list[TextTable]:
    """AUC of each validation; none for a run that has not been validated yet, or is not trained by a loop."""
    if not curve:
        return []
    lines = []
    for point in curve:
        rank = int(point["step"] == best_step)
        texts = (str(point["epoch"]), str(point["step"]), *(unsigned(point[users]) for users in _CURVE_USERS))
        lines.append([TextCell(text, rank=rank) for text in texts])
    head = ("epoch", "step", *(f"{users} AUC" for users in _CURVE_USERS))
    note = "validation split" if best_step is None else f"validation split; the best epoch ends at step {best_step:,}"
    records = [dict(point) for point in curve]
    return [TextTable("Validation curve", head, (TextBlock("", lines),), (note,), records)]
