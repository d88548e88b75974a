"""What `mail preprocess alimama` does, written the usual way: in pandas, with everything in memory.

Run: python benchmarks/pandas_pipeline.py RAW OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

START, DAY, N_V = 1494000000, 86400, 100


def main(raw: Path, out: Path) -> None:
    """Histories, split, vocabularies and ids, as `.npy` columns; no checks."""
    out.mkdir(parents=True)
    ads = pd.read_csv(raw / "ad_feature.csv")
    profiles = pd.read_csv(raw / "user_profile.csv")
    impressions = pd.read_csv(raw / "raw_sample.csv")
    log = pd.read_csv(raw / "behavior_log.csv", dtype={"btag": "category"})
    log = log[log["time_stamp"].between(START - 14 * DAY, START + 8 * DAY - 1)]
    impressions = impressions.sort_values(["user", "time_stamp"], ignore_index=True)
    log = log[log["user"].isin(impressions["user"])].sort_values(["user", "time_stamp"], ignore_index=True)
    span = 1 << 32
    keys = log["user"].to_numpy() * span + log["time_stamp"].to_numpy()
    end = np.searchsorted(keys, impressions["user"].to_numpy() * span + impressions["time_stamp"].to_numpy())
    begin = np.maximum(np.searchsorted(log["user"], impressions["user"]), end - N_V)
    seen = np.zeros(len(log) + 1, np.int64)
    np.add.at(seen, begin, 1)
    np.add.at(seen, end, -1)
    keep = np.cumsum(seen[:-1]) > 0
    train = (impressions["time_stamp"] - START) // DAY < 6
    trained = np.zeros(len(log) + 1, np.int64)
    np.add.at(trained, begin[train], 1)
    np.add.at(trained, end[train], -1)
    fitted = log[np.cumsum(trained[:-1]) > 0]
    np.save(out / "history_end.npy", np.r_[0, np.cumsum(keep)][end])
    log = log[keep]
    impressions = impressions.merge(ads, on="adgroup_id", how="left").merge(
        profiles, left_on="user", right_on="userid", how="left"
    )
    for name, of_ad in (("cate", "cate_id"), ("brand", "brand")):
        values = np.union1d(fitted[name].unique(), impressions.loc[train.to_numpy(), of_ad].dropna().unique())
        np.save(out / f"behavior_{name}.npy", pd.Index(values).get_indexer(log[name]) + 2)
        np.save(out / f"target_{name}.npy", pd.Index(values).get_indexer(impressions[of_ad]) + 2)
    np.save(out / "behavior_action.npy", log["btag"].cat.codes)
    np.save(out / "behavior_time.npy", log["time_stamp"])
    for name in ["user", "adgroup_id", "campaign_id", "customer", "pid", *profiles.columns[1:]]:
        values = impressions.loc[train.to_numpy(), name].dropna().unique()
        np.save(out / f"{name.strip()}.npy", pd.Index(np.sort(values)).get_indexer(impressions[name]) + 2)
    np.save(out / "click.npy", impressions["clk"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
