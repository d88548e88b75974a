"""Alimama (Ali_Display_Ad_Click, Tianchi data set 56): four CSV files, plain or gzipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from mailcli.csvfile import Column, CsvFile
from mailcli.engines import DataFrame
from mailcli.errors import MailError
from mailcli.marker import read_marker
from mailcli.schema import Field, Schema
from mailcli.sources import RawData

#: Impressions begin on 2017-05-06 00:00 and end on 2017-05-13 24:00, UTC+8 whatever the machine's time zone.
FIRST_IMPRESSION = 1494000000
DAY = 86400
DAYS = 8
#: Days 1-6 train, 7 validates, 8 tests (MAIL Sec. 4.1.1 takes days 1-7 and 8; the 7th chooses when to stop).
VALIDATION_DAY, TEST_DAY = 6, 7
#: Behaviours cover 22 days up to the last impression day; the logs' few negative or absurd times fall outside.
FIRST_BEHAVIOR = FIRST_IMPRESSION + (DAYS - 22) * DAY
#: btag, in the order of their frequency in the published log.
ACTIONS = ("pv", "cart", "fav", "buy")

_PROFILE = (
    "cms_segid",
    "cms_group_id",
    "final_gender_code",
    "age_level",
    "pvalue_level",
    "shopping_level",
    "occupation",
    "new_user_class_level",
)
COLUMNS = {
    "raw_sample": (
        Column("user"),
        Column("time_stamp", at_least=FIRST_IMPRESSION, below=FIRST_IMPRESSION + DAYS * DAY),
        Column("adgroup_id"),
        Column("pid", "string"),
        Column("nonclk", values=("0", "1")),
        Column("clk", values=("0", "1")),
    ),
    "ad_feature": (
        Column("adgroup_id"),
        Column("cate_id", optional=True, missing="NULL"),
        Column("campaign_id", optional=True, missing="NULL"),
        Column("customer", optional=True, missing="NULL"),
        Column("brand", optional=True, missing="NULL"),
        Column("price", "double"),
    ),
    "user_profile": (Column("userid"), *(Column(name, optional=True) for name in _PROFILE)),
    "behavior_log": (
        Column("user"),
        Column("time_stamp"),
        Column("btag", "string", values=ACTIONS),
        Column("cate", optional=True, missing="NULL"),
        Column("brand", optional=True, missing="NULL"),
    ),
}


class Source(RawData):
    """Taobao display ads: 26.6 M impressions, 723 M behaviours (or a simulated set in the same form)."""

    name = "alimama"
    schema = Schema(
        fields=(
            Field("user", "attributes", "user"),
            *(Field(name, "attributes", name) for name in _PROFILE),
            Field("cate", "behavior", "cate"),
            Field("brand", "behavior", "brand"),
            Field("pid", "context", "pid"),
            Field("hour", "context", "hour"),
            Field("weekday", "context", "weekday"),
            Field("item", "target", "item"),
            Field("cate", "target", "cate"),
            Field("brand", "target", "brand"),
            Field("campaign", "target", "campaign"),
            Field("customer", "target", "customer"),
        ),
        actions=ACTIONS,
        dense=("price",),
    )

    def __init__(self, raw: Path, work: Path) -> None:
        del work
        found = {stem: _find(raw, stem) for stem in COLUMNS}
        missing = [f"{stem}.csv" for stem, path in found.items() if path is None]
        if missing:
            raise MailError(
                f"{raw}: {', '.join(missing)} not found. Looked for {', '.join(f'{s}.csv' for s in COLUMNS)} "
                f"(or .csv.gz). Get them from Tianchi, data set 56 'Ad Display/Click Data on Taobao.com' "
                f"(a free login), or simulate them: mail simulate alimama --users 2000 --seed 0 --out {raw}"
            )
        self._csv = {stem: CsvFile(path, COLUMNS[stem]) for stem, path in found.items() if path}
        self.files = tuple(csv.path for csv in self._csv.values())
        self.simulation = read_marker(raw, self.files)

    def users(self, engine: Any) -> pa.Table:
        """One row per profile; an empty field stays null."""
        F = engine.functions
        columns = (F.col("userid").alias("user"), *(F.col(name) for name in _PROFILE))
        return self._whole(engine, "user_profile", columns)

    def items(self, engine: Any) -> pa.Table:
        """One row per ad; the brand `NULL` is null."""
        F = engine.functions
        columns = (
            F.col("adgroup_id").alias("item"),
            F.col("cate_id").alias("cate"),
            F.col("brand"),
            F.col("campaign_id").alias("campaign"),
            F.col("customer"),
            F.col("price"),
        )
        return self._whole(engine, "ad_feature", columns)

    def _whole(self, engine: Any, stem: str, columns: tuple[Any, ...]) -> pa.Table:
        table = engine.collect(self._csv[stem].frame(engine).select(*columns, "bad"))
        if table["bad"].combine_chunks().true_count:
            raise self._csv[stem].bad_row()
        return table.drop_columns("bad")

    def behaviors(self, engine: Any) -> DataFrame:
        """The log, without rows of an absurd time (before the 22 days, or after the last impression day)."""
        F = engine.functions
        action = F.lit(None)
        for code, tag in enumerate(ACTIONS):
            action = F.when(F.col("btag") == tag, F.lit(code)).otherwise(action)
        time = F.col("time_stamp")
        within = (time >= FIRST_BEHAVIOR) & (time < FIRST_IMPRESSION + DAYS * DAY)
        return (
            self._csv["behavior_log"]
            .frame(engine)
            .filter(within | F.col("bad"))
            .select("user", time.alias("time"), action.cast("int").alias("action"), "cate", "brand", "bad")
        )

    def impressions(self, engine: Any) -> DataFrame:
        """The sample, with the hour of the day and the day of the week (from Saturday, the first day) in UTC+8."""
        F = engine.functions
        since = F.col("time_stamp") - F.lit(FIRST_IMPRESSION)
        day = F.floor(since / DAY)
        split = F.when(day == TEST_DAY, F.lit(2)).when(day == VALIDATION_DAY, F.lit(1)).otherwise(F.lit(0))
        return (
            self._csv["raw_sample"]
            .frame(engine)
            .select(
                "user",
                F.col("adgroup_id").alias("item"),
                F.col("time_stamp").alias("time"),
                "pid",
                F.floor(since % DAY / 3600).cast("int").alias("hour"),
                (day % 7).cast("int").alias("weekday"),
                F.col("clk").cast("int").alias("click"),
                split.cast("int").alias("split"),
                "bad",
            )
        )

    def bad_row(self, table: str) -> MailError:
        """Name the first bad row of the table's file."""
        csv = self._csv["behavior_log" if table == "behaviors" else "raw_sample"]
        return csv.bad_row()


def _find(raw: Path, stem: str) -> Path | None:
    for suffix in (".csv", ".csv.gz"):
        if (raw / f"{stem}{suffix}").is_file():
            return raw / f"{stem}{suffix}"
    return None
