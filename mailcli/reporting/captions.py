"""The notes under a result table: data, protocol and seeds, how its intervals are made, what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import MISSING, fields

import numpy as np

from mailcli import plugins
from mailcli.config import OPTION_TABLES, RunConfig
from mailcli.metrics.statistics import EQUIVALENCE_BOUND
from mailcli.reporting.audit_block import AUDIT_LEGEND
from mailcli.reporting.best_epochs import epoch_notes
from mailcli.reporting.paper import REPORTED, Reported
from mailcli.reporting.rows import CONVERSION_METRICS, METRICS, TITLES, Row, bootstrap_means

ONE_SEED = "one seed: no interval over seeds, so significance cannot be assessed"
#: Before the name of a trivial row, and after a mean that is worse than that of the best one of its block.
TRIVIAL_MARK, BELOW_TRIVIAL_MARK = "trivial: ", "↓"
TRIVIAL_NOTE = (
    "trivial: statistics of the training split, fitted without a network; "
    f"{BELOW_TRIVIAL_MARK} = worse than the best trivial row of the block"
)
NOT_SIGNIFICANT = "n.s. = no significant difference at 5%"
STARS = "* p < .05, ** p < .01, no mark = no significant difference at 5%"
INTERVAL_NOTE = "±: 95% interval over seeds"
SEEDS_NOTE = f"{INTERVAL_NOTE}; {NOT_SIGNIFICANT}"
RI_NOTE = "RI: relative improvement over the same ranker without a cold-start method, same seed"
P_NOTE = "p: two-sided t-test, paired by seed, Holm-corrected over the rows of a block, not over blocks and metrics"
EQUIVALENCE_NOTE = (
    f"≈: RI within ±{EQUIVALENCE_BOUND}% (two one-sided t-tests, p < .05, not corrected); n.s. without ≈ does not mean "
    "no harm"
)
NEXT_TO = "to its left"
#: For tables with stacked metrics and stars for p: what replaces each of these texts.
STACKED_TEXTS = {
    NEXT_TO: "above it",
    SEEDS_NOTE: f"{INTERVAL_NOTE}; {STARS}",
    EQUIVALENCE_NOTE: f"≈: RI within ±{EQUIVALENCE_BOUND}% (two one-sided t-tests, p < .05, not corrected): only "
    "this shows that there is no harm",
}
#: About the MAIL paper's numbers, and about those of another paper.
PAPER_NOTES = (
    "paper: reported on about 6 M impressions of Alimama; not comparable with other data",
    "paper: as reported; not comparable with another dataset or split",
)
#: The notes that explain marks, and are the same under every table: a document of several tables has them once.
LEGENDS = (SEEDS_NOTE, TRIVIAL_NOTE, P_NOTE, EQUIVALENCE_NOTE, AUDIT_LEGEND)
#: Settings that are shown elsewhere: in the row's name, among the seeds, or with the protocol.
_SHOWN_ELSEWHERE = {"ranker", "cold_start", "seed", "protocol", "new_share", "continues"}


def caption_notes(
    rows: Sequence[Row], bootstrapped: bool, with_conversions: bool, reported: Reported | None
) -> list[str]:
    """What the reader of any number in the table must know.

    Args:
        rows: those of the table.
        bootstrapped: whether there are intervals over users.
        with_conversions: whether there are columns for conversions.
        reported: a paper's numbers; None if they are not shown.
    """
    several_seeds = any(len(row.seeds) > 1 for row in rows)
    shares = [result["test"]["all"]["one_class_impressions"] for row in rows for result in row.results]
    notes = [data_note(rows), f"settings: {settings_note([row.config for row in rows])}"]
    if several_seeds:
        notes.append(SEEDS_NOTE)
    else:
        notes.append(ONE_SEED)
    notes += _undefined_notes(rows)
    notes += epoch_notes(rows)
    notes += _bootstrap_notes(rows) if bootstrapped else []
    if any(plugins.is_trivial(row.config.ranker) for row in rows):
        notes.append(TRIVIAL_NOTE)
    share = f"{np.mean(shares):.1%} of the test impressions"
    notes.append(f"GAUC excludes users whose impressions all have one label ({share})")
    if any(row.against for row in rows):
        notes.append("AUC, GAUC: of the first row; RI: its relative improvement over the second, same seed")
    elif any(row.baseline for row in rows):
        notes.append(RI_NOTE)
    if any(row.baseline and len(row.seeds) > 1 for row in rows):
        notes += [P_NOTE, EQUIVALENCE_NOTE]
    if with_conversions:
        notes.append("CTCVR: click and then conversion, ranked by pCTCVR = pCTR x pCVR")
    if reported is not None:
        is_mails = all(REPORTED.get(row) == numbers for row, numbers in reported.items())
        notes.append(PAPER_NOTES[0 if is_mails else 1])
    return notes


def table_titles(tables: Sequence[tuple[str, Sequence[RunConfig]]]) -> list[str]:
    """Titles that tell tables apart: by dataset and protocol, and if need be by new users, settings, or both.

    Args:
        tables: what each of them shows, and the configs of its rows.
    """
    candidates = []
    for shows, configs in tables:
        plain = f"{shows} on {configs[0].data}, protocol {configs[0].protocol}"
        with_share, settings = f"{plain}, {new_share_text(configs[0])}", settings_note(configs)
        candidates.append((plain, with_share, f"{plain}: {settings}", f"{with_share}: {settings}"))
    counts = Counter(title for titles_of_table in candidates for title in titles_of_table)
    return [next((title for title in titles if counts[title] == 1), titles[-1]) for titles in candidates]


def protocol_text(config: RunConfig) -> str:
    """`protocol paper, 40% of users new`."""
    return f"protocol {config.protocol}, {new_share_text(config)}"


def new_share_text(config: RunConfig) -> str:
    """`40% of users new`, or `12.5% of users new`."""
    return f"{100 * config.new_share:g}% of users new"


def data_note(rows: Sequence[Row]) -> str:
    """Dataset, protocol and seeds; the seeds of each row if they differ."""
    if len({row.seeds for row in rows}) == 1:
        seeds = ", ".join(map(str, rows[0].seeds))
    else:
        seeds = "; ".join(f"{row.label}: {', '.join(map(str, row.seeds))}" for row in rows)
    return f"data {rows[0].results[0]['dataset']} | {protocol_text(rows[0].config)} | seeds {seeds}"


def settings_note(configs: Sequence[RunConfig]) -> str:
    """The settings that the rows share and that differ from the defaults; then those that differ from row to row.

    Trivial rows count only if there are no others: the settings of training do not concern them.
    """
    networks = [config for config in configs if not plugins.is_trivial(config.ranker)] or configs
    defaults = {field.name: field.default for field in fields(RunConfig) if field.default is not MISSING}
    names = [name for name in defaults if name not in _SHOWN_ELSEWHERE]
    values_by_name = {name: {getattr(config, name) for config in networks} for name in names} | _option_values(networks)
    changed = [
        f"{name} {min(values)}"
        for name, values in values_by_name.items()
        if len(values) == 1 and values != {defaults.get(name)}
    ]
    differ = [name for name, values in values_by_name.items() if len(values) > 1]
    text = ", ".join(changed) or "all defaults"
    return f"{text}; each row its own {', '.join(differ)}" if differ else text


def _option_values(configs: Sequence[RunConfig]) -> dict[str, set[str]]:
    """The values of each option that was set, by `ranker.KEY of NAME`, over the rows with this ranker or method."""
    values: dict[str, set[str]] = {}
    for kind in OPTION_TABLES:
        for owner in dict.fromkeys(getattr(config, kind) for config in configs):
            options = [config.shown_options[kind] for config in configs if getattr(config, kind) == owner]
            for key in dict.fromkeys(key for own in options for key in own):
                values[f"{kind}.{key} of {owner}"] = {str(own.get(key, "default")) for own in options}
    return values


def _undefined_notes(rows: Sequence[Row]) -> list[str]:
    """Groups of users that have no AUC in some seed, and so none in the table."""
    notes = []
    for users, title in TITLES.items():
        seeds = {
            seed
            for row in rows
            for seed, result in zip(row.seeds, row.results, strict=True)
            if users in result["test"] and result["test"][users].get(METRICS[0]) is None
        }
        if seeds:
            listed_seeds = ", ".join(map(str, sorted(seeds)))
            notes.append(f"{title}: their impressions have one label in seed {listed_seeds}, so there is no AUC")
    return notes


def _bootstrap_notes(rows: Sequence[Row]) -> list[str]:
    """What the intervals over users show, and what they do not."""
    all_draws = [
        draws
        for row in rows
        for users in TITLES
        for metric in (*METRICS, *CONVERSION_METRICS)
        if (draws := bootstrap_means(row, users, metric)) is not None
    ]
    shares = [float(np.isnan(draws).mean()) for draws in all_draws]
    # Where every draw lacks a class, there is no interval either.
    undefined = max(share for share in [0.0, *shares] if share < 1)
    return [
        f"over users: 95% interval of the mean {NEXT_TO}, from {len(all_draws[0]):,} bootstrap draws of the test "
        "users with all their impressions; the trained models stay fixed",
        "over users: not an interval of the difference between rows, which share users and draws",
        *([f"over users: draws without both labels are excluded (at most {undefined:.1%})"] if undefined else []),
    ]
