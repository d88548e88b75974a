"""The tables of a report that only it has: the rows' settings, their costs, and their runs one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailcli import plugins
from mailcli.config import RunConfig, option_text
from mailcli.reporting.captions import TRIVIAL_MARK
from mailcli.reporting.columns import column_notes, column_title, number_text
from mailcli.reporting.result_layout import lay_out
from mailcli.reporting.rows import COST_METRICS, METRICS, Result, Row
from mailcli.reporting.tables import ResultTable
from mailcli.reporting.text_table import TextBlock, TextCell, TextTable, text_block, unsigned
from mailcli.runs.settings import other_than_default
from mailcli.settings.reference import all_settings

#: Settings that a report shows elsewhere: in the rows' names, or next to every table.
_SHOWN_ELSEWHERE = {"data", "ranker", "cold_start", "seed", "continues"}
_BEST = 1


def own_settings(rows: Sequence[Row], data: str) -> list[TextTable]:
    """The settings and options that are not the defaults and not the same in all rows; no table if there are none."""
    rows = _trained(rows)
    changed = [_changed_settings(row.config) for row in rows]
    keys = dict.fromkeys(key for own in changed for key in own)
    differing = [key for key in keys if len({own.get(key) for own in changed}) > 1]
    if not differing:
        return []
    lists = {key for key in differing if any("," in own.get(key, "") for own in changed)}
    lines = [
        [TextCell(row.label), *(TextCell(own.get(key, "-"), is_text=key in lists) for key in differing)]
        for row, own in zip(rows, changed, strict=True)
    ]
    return [TextTable("Settings of single rows", ("", *differing), (TextBlock("", lines),), (data,), [])]


def _changed_settings(config: RunConfig) -> dict[str, str]:
    """Those that are not the defaults; the name of the row has MAIL's variant."""
    shown_elsewhere = _SHOWN_ELSEWHERE | ({"cold_start.variant"} if config.cold_start == "mail" else set())
    return {key: text for key, text in other_than_default(config).items() if key not in shown_elsewhere}


def shared_settings(rows: Sequence[Row], data: str) -> TextTable:
    """Every setting of a run, with its value in these rows; what is not the default stands out."""
    lines = []
    for setting in all_settings():
        if setting.owner or setting.key in _SHOWN_ELSEWHERE:
            continue
        values = {option_text(getattr(row.config, setting.key)) for row in _trained(rows)}
        value = min(values) if len(values) == 1 else "each row its own"
        cell = TextCell(value, rank=0 if value == setting.default else _BEST)
        lines.append([TextCell(setting.key), cell, TextCell(setting.default), TextCell(setting.meaning)])
    head = ("setting", "value", "default", "meaning")
    return TextTable("All settings", head, (TextBlock("", lines),), (data,), [], wraps=True)


def cost_table(table: ResultTable) -> list[TextTable]:
    """AUC of new users and RI next to what each row costs; no table if no run says what it cost."""
    lines = tuple(line for line in table.lines if line.users == "new")
    measured = [name for name in COST_METRICS if any(name in line.cells for line in lines)]
    if not measured:
        return []
    columns = (METRICS[0], *measured)
    small = replace(
        table,
        title="Cost",
        columns=columns,
        lines=lines,
        notes=(table.notes[0], *column_notes(columns, with_trivial=False)),
        with_reported=False,
    )
    return [lay_out(small)]


def run_table(rows: Sequence[Row], data: str) -> TextTable:
    """A line for each run: its test metrics, its best epoch, and how long it trained."""
    lines = [
        [_marked(row), str(seed), *_metrics(result), _epoch(result), _seconds(result)]
        for row in rows
        for seed, result in zip(row.seeds, row.results, strict=True)
    ]
    names = [f"{metric}, {users} users" for users in ("new", "old") for metric in METRICS]
    head = ("", "seed", *names, "best epoch", column_title("training_seconds"))
    return TextTable("Runs", head, (text_block("", lines),), (data,), [])


def _trained(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows that have settings of training: without trivial ones, unless there are no others."""
    return [row for row in rows if not plugins.is_trivial(row.config.ranker)] or rows


def _marked(row: Row) -> str:
    return f"{TRIVIAL_MARK}{row.label}" if plugins.is_trivial(row.config.ranker) else row.label


def _metrics(result: Result) -> list[str]:
    return [unsigned(result["test"].get(users, {}).get(metric)) for users in ("new", "old") for metric in METRICS]


def _epoch(result: Result) -> str:
    epoch = result.get("best_epoch")
    return "-" if epoch is None else str(epoch)


def _seconds(result: Result) -> str:
    seconds = result.get("cost", {}).get("training_seconds")
    return "-" if seconds is None else number_text("training_seconds", seconds)
