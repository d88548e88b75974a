"""AUC and GAUC of 3.3 M impressions of 300,000 users, against scikit-learn user by user; the bootstrap over users.

Each part runs in its own process, so that its peak memory can be measured.

Run: python benchmarks/metrics.py [--rows N --users N --draws N]   (about 3 minutes)
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measure import cost, machine, record, table
from numpy.typing import NDArray

#: scikit-learn's loop runs over a sample of this many users first, and over all if that will take at most PATIENCE s.
SAMPLE, PATIENCE = 2_000, 180.0

Columns = tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.float32]]


class Task(NamedTuple):
    """The input of a part."""

    columns: Columns
    """Users, labels, scores."""
    folder: Path
    """The folder for its results."""
    draws: int


def make(rows: int, users: int) -> Columns:
    """Users, labels and scores: log-normal numbers of impressions per user, CTR 5%, a third of the scores tied."""
    rng = np.random.default_rng(0)
    share = rng.lognormal(size=users)
    further = rng.choice(users, rows - users, p=share / share.sum())
    user = rng.permutation(np.r_[np.arange(users), further]).astype(np.int32)
    interest = rng.normal(0, 0.5, users)[user] + rng.normal(size=rows)
    # With 3.45 and this variance of interests, 5% of the impressions are clicked.
    label = rng.random(rows) < 1 / (1 + np.exp(3.45 - interest))
    score = (1 / (1 + np.exp(3.5 - 0.7 * interest - rng.normal(0, 0.5, rows)))).astype(np.float32)
    score[::3] = score[::3].round(3)
    return user, label.astype(np.uint8), score


def median(work: Callable[[], Any], repeats: int = 5) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def nothing(task: Task) -> dict[str, Any]:
    """Only the columns and NumPy."""
    return {"rows": len(task.columns[0])}


def ours(task: Task) -> dict[str, Any]:
    """AUC and GAUC."""
    from mailcli.metrics.auc import auc, auc_by_user, gauc

    columns = task.columns
    np.save(task.folder / "ours.npy", auc_by_user(*columns).auc)
    return {
        "AUC": auc(*columns[1:]),
        "GAUC": gauc(*columns).value,
        "auc seconds": median(lambda: auc(*columns[1:])),
        "gauc seconds": median(lambda: gauc(*columns)),
    }


def bootstrap(task: Task) -> dict[str, Any]:
    """Bootstrap samples of users."""
    from mailcli.metrics.bootstrap import WeightedMetrics, percentile_interval, resample

    start = time.perf_counter()
    columns, draws = task.columns, task.draws
    population = int(columns[0].max()) + 1
    sample = WeightedMetrics(*columns, population)
    sorted_after = time.perf_counter() - start
    values = np.array([metrics[0] for metrics in resample([sample], population, draws, seed=0)])
    return {
        "sort seconds": sorted_after,
        "seconds": time.perf_counter() - start,
        "AUC": percentile_interval(values[:, 0]),
        "GAUC": percentile_interval(values[:, 1]),
    }


def scikit_learn(task: Task) -> dict[str, Any]:
    """roc_auc_score of all rows, and of each user with both labels in a loop; on a sample if that takes too long."""
    from sklearn.metrics import roc_auc_score

    def loop(users: NDArray[np.int64]) -> float:
        start = time.perf_counter()
        for user in users:
            rows = slice(begin[user], begin[user + 1])
            if 0 < label[rows].sum() < rows.stop - rows.start:
                value[user] = roc_auc_score(label[rows], score[rows])
        return time.perf_counter() - start

    start = time.perf_counter()
    auc = roc_auc_score(*task.columns[1:])
    order = np.argsort(task.columns[0], kind="stable")
    user, label, score = (column[order] for column in task.columns)
    begin = np.searchsorted(user, np.arange(user[-1] + 2))
    value = np.full(user[-1] + 1, np.nan)
    fixed = time.perf_counter() - start
    sample = np.random.default_rng(1).permutation(len(value))[:SAMPLE]
    seconds, measured = loop(sample) * len(value) / len(sample), len(sample)
    if seconds <= PATIENCE:
        seconds, measured = loop(np.arange(len(value))), len(value)
    np.save(task.folder / "scikit_learn.npy", value)
    return {"AUC": float(auc), "seconds": fixed + seconds, "users measured": measured}


PARTS = {part.__name__: part for part in (nothing, ours, bootstrap, scikit_learn)}


def report(columns: Columns, folder: Path, draws: int, megabytes: dict[str, float]) -> str:
    """The section of RESULTS.md."""
    results = {name: json.loads((folder / f"{name}.json").read_text()) for name in PARTS}
    mail, sklearn, boot = results["ours"], results["scikit_learn"], results["bootstrap"]
    by_user, expected = np.load(folder / "ours.npy"), np.load(folder / "scikit_learn.npy")
    compared = ~np.isnan(expected)
    difference = np.abs(by_user - expected)[compared].max()
    seconds = mail["auc seconds"] + mail["gauc seconds"]
    users, count, both = len(by_user), np.bincount(columns[0]), np.count_nonzero(~np.isnan(by_user))
    all_users = sklearn["users measured"] == users
    if all_users and (np.isnan(by_user) != ~compared).any():
        raise RuntimeError("scikit-learn gives an AUC to other users than we do")
    rows = [
        ("AUC", f"{mail['auc seconds']:.2f}", ""),
        ("AUC + GAUC", f"{seconds:.2f}", f"{megabytes['ours']:,.0f}"),
        ("scikit-learn, user by user", f"{sklearn['seconds']:.1f}", f"{megabytes['scikit_learn']:,.0f}"),
        (f"bootstrap, {draws:,} draws", f"{boot['seconds']:.1f}", f"{megabytes['bootstrap']:,.0f}"),
        ("only the columns and NumPy", "", f"{megabytes['nothing']:,.0f}"),
    ]
    low, high = (boot["AUC"][end] for end in (0, 1))
    basis = "measured on all users" if all_users else f"extrapolated from {sklearn['users measured']:,} users"
    parts = [
        machine("numpy", "scipy", "scikit-learn"),
        f"{len(columns[0]):,} impressions of {users:,} users (median {np.median(count):.0f}, at most {count.max():,} "
        f"each; {both:,} with both labels), CTR {columns[1].mean():.1%}, a third of the scores rounded to three "
        "digits. AUC and GAUC: median of five runs.",
        table(("computation", "seconds", "peak MB"), rows),
        f"AUC + GAUC is {sklearn['seconds'] / seconds:.0f} x as fast as scikit-learn's loop ({basis}). The largest "
        f"difference over {compared.sum():,} users is {difference:.1e}; for the AUC of all rows it is "
        f"{abs(mail['AUC'] - sklearn['AUC']):.1e}. The bootstrap sorts in {boot['sort seconds']:.1f} s, then takes "
        f"{(boot['seconds'] - boot['sort seconds']) / draws * 1e3:.1f} ms per draw; AUC {mail['AUC']:.4f}, 95% "
        f"interval over users {low:.4f} to {high:.4f}.",
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_300_000)
    parser.add_argument("--users", type=int, default=300_000)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--part", choices=PARTS, help="run one part, in --folder")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.part:
        with np.load(arguments.folder / "columns.npz") as file:
            columns = (file["user"], file["label"], file["score"])
        result = PARTS[arguments.part](Task(columns, arguments.folder, arguments.draws))
        (arguments.folder / f"{arguments.part}.json").write_text(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        columns = user, label, score = make(arguments.rows, arguments.users)
        np.savez(folder / "columns.npz", user=user, label=label, score=score)
        parts = {name: cost(__file__, "--part", name, "--folder", folder, "--draws", arguments.draws) for name in PARTS}
        megabytes = {name: part.megabytes for name, part in parts.items()}
        record("Metrics", report(columns, folder, arguments.draws, megabytes))


if __name__ == "__main__":
    main()
