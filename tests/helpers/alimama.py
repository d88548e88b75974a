"""Made-up raw files in Alimama's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

START = 1494000000
DAY = 86400

Impression = tuple[int, int, int, int]
"""user, time, ad, click"""

HEADERS = {
    "raw_sample": "user,time_stamp,adgroup_id,pid,nonclk,clk",
    "ad_feature": "adgroup_id,cate_id,campaign_id,customer,brand,price",
    "user_profile": "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,"
    "new_user_class_level ",
    "behavior_log": "user,time_stamp,btag,cate,brand",
}


#: The profile of user 1.
PROFILE = "1,0,1,1,1,,1,0,"


def both_classes(user: int, ad: int, day: int) -> list[Impression]:
    """A click and a non-click on a day (0-5 train, 6 validation, 7 test)."""
    noon = START + day * DAY + DAY // 2
    return [(user, noon, ad, 0), (user, noon + 1, ad, 1)]


def validation_and_test(user: int, ad: int) -> list[Impression]:
    """The least that the validation and test splits need."""
    return both_classes(user, ad, day=6) + both_classes(user, ad, day=7)


def sample_rows(impressions: Sequence[Impression]) -> list[str]:
    """Lines of raw_sample."""
    return [f"{user},{time},{ad},430548_1007,{1 - click},{click}" for user, time, ad, click in impressions]


def write(
    folder: Path,
    impressions: Sequence[Impression],
    ads: Sequence[tuple[int, int, int | None]],
    behaviors: Sequence[tuple[int, int, int, int]],
) -> None:
    """Write the four files; ads are (ad, category, brand), behaviors (user, time, category, brand)."""
    rows = {
        "raw_sample": sample_rows(impressions),
        "ad_feature": [f"{ad},{cate},1,1,{brand or 'NULL'},9.5" for ad, cate, brand in ads],
        "user_profile": [PROFILE],
        "behavior_log": [f"{u},{t},pv,{cate},{brand}" for u, t, cate, brand in behaviors],
    }
    write_rows(folder, rows)


def write_rows(folder: Path, rows: dict[str, list[str]]) -> None:
    """Write files of these lines below their headers."""
    folder.mkdir(parents=True)
    for stem, lines in rows.items():
        (folder / f"{stem}.csv").write_text("\n".join([HEADERS[stem], *lines]) + "\n")


def good_rows() -> dict[str, list[str]]:
    """The smallest files without a fault, as rows by file."""
    impressions = both_classes(1, 10, day=0) + validation_and_test(1, 10)
    return {
        "raw_sample": sample_rows(impressions),
        "ad_feature": ["10,500,1,1,600,9.5"],
        "user_profile": [PROFILE],
        "behavior_log": [f"1,{START - 50},pv,5,6", f"1,{START - 40},buy,7,8"],
    }


#: Lines that cannot be used, by file, with the reason in `rejected/`.
BAD_ROWS = {
    "raw_sample": {
        f"1,{START + 9},10,p,1,1": "'nonclk' holds '1', 'clk' holds '1'. Expected nonclk = 1 - clk",
        f"1,{START + 9},ten,p,1,0": "column 'adgroup_id' holds 'ten'. Expected a whole number",
        "1,99999999999999999999,10,p,1,0": "column 'time_stamp' holds '99999999999999999999'. "
        "Expected a whole number from 1494000000 to 1494691199",
        "1,-9223372036854775808,10,p,1,0": "column 'time_stamp' holds '-9223372036854775808'. "
        "Expected a whole number from 1494000000 to 1494691199",
    },
    "ad_feature": {
        "1000000001,1,1,1,1,1d": "column 'price' holds '1d'. Expected a number of 0 or more",
        "1000000002,x,1,1,1,1.0": "column 'cate_id' holds 'x'. Expected a whole number or nothing",
    },
    "user_profile": {
        "1000000001,0,1,1,old,,1,0,": "column 'age_level' holds 'old'. Expected a whole number or nothing"
    },
    "behavior_log": {
        f"1,{START},look,1,1": "column 'btag' holds 'look'. Expected one of 'pv', 'cart', 'fav', 'buy'",
        f"1,{START},pv,1": "has 4 fields. Expected 5: user,time_stamp,btag,cate,brand",
        f"1,{START},pv,1,2,3,4": "has 7 fields. Expected 5: user,time_stamp,btag,cate,brand",
        f"1,{START},pv,1,2,": "has 6 fields. Expected 5: user,time_stamp,btag,cate,brand",
        ",".join("9" * 300): "has 300 fields. Expected 5: user,time_stamp,btag,cate,brand",
        f'"1,{START},pv,1,2': "column 'user' holds '\"1'. Expected a whole number",
        "1,5,pv,1,2": "column 'time_stamp' holds '5'. Expected a whole number from 1492790400 to 1494691199",
        f" 1,{START},pv,1,2": "column 'user' holds ' 1'. Expected a whole number",
        f"1,{START},pv,1.5,2": "column 'cate' holds '1.5'. Expected a whole number or nothing",
    },
}


def spoil(raw: Path) -> None:
    """Append BAD_ROWS to the four files; to the log also missing values, blank lines, a line longer than engines keep."""
    for stem, lines in BAD_ROWS.items():
        with open(raw / f"{stem}.csv", "a") as file:
            file.write("\n".join(lines) + "\n")
    with open(raw / "behavior_log.csv", "a") as file:
        file.write(
            f"1,{START},pv,1,\n1,{START},pv,NULL,1\n1,{START},pv,1,1\n1,{START},pv,1,1\n\n \t\n" + "9," * 6_000 + "9\n"
        )
    (raw / "SIMULATED.json").unlink(missing_ok=True)
