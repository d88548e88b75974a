"""Raw files whose validation and test days are changed."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.helpers.alimama import DAY, START
from tests.helpers.oracles import read_csv

#: The end of the training days, 1 to 6: nothing later may reach training.
FUTURE = START + 6 * DAY
#: Added to raw ids to get unknown ones (ours: far above all simulated ids).
OFFSET = 1_000_000


def write_another_future(raw: Path, out: Path) -> None:
    """Copy the raw files with other labels, ads, placements, users, behaviors and features on days 7 and 8.

    All of the simulator's few ads occur in training; here a third of the later impressions shows unknown ads.
    """
    out.mkdir(parents=True)
    sample, ads, profiles, log = (
        read_csv(raw / f"{stem}.csv") for stem in ("raw_sample", "ad_feature", "user_profile", "behavior_log")
    )
    for number, row in enumerate(sample):
        if int(row["time_stamp"]) < FUTURE:
            continue
        if number % 2:
            row["clk"], row["nonclk"] = row["nonclk"], row["clk"]
        if number % 3 == 0:
            row["adgroup_id"] = unknown(row["adgroup_id"])
        if number % 5 == 0:
            row["user"] = unknown(row["user"])
        if number % 7 == 0:
            row["pid"] = "430549_1007"
    ads += [{**{key: unknown(value) for key, value in row.items()}, "price": "99999.0"} for row in ads]
    profiles += [{**row, "userid": unknown(row["userid"]), "cms_segid": "999"} for row in profiles]
    for number, row in enumerate(log[:]):
        if int(row["time_stamp"]) >= FUTURE:
            row["btag"] = "buy"
            if number % 2:
                row["cate"], row["brand"] = unknown(row["cate"]), unknown(row["brand"])
        log.append({**row, "user": unknown(row["user"])})
    for stem, rows in (("raw_sample", sample), ("ad_feature", ads), ("user_profile", profiles), ("behavior_log", log)):
        write_csv(out / f"{stem}.csv", rows)


def unknown(text: str) -> str:
    """An id that no other row has; NULL stays NULL."""
    return text if text == "NULL" else str(int(float(text)) + OFFSET)


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows below a header of their keys."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
