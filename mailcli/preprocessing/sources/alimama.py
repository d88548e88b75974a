"""Alimama (Ali_Display_Ad_Click, Tianchi data set 56): four CSV files, plain or gzipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mailcli.data.derivations import CLOCKS, DAY, Derivation, Derivations
from mailcli.data.schema import Schema
from mailcli.errors import MailError
from mailcli.preprocessing.csv_columns import Column, Rule
from mailcli.preprocessing.csv_file import CsvFile
from mailcli.preprocessing.engines._base import DataEngine, DataFrame
from mailcli.preprocessing.simulated_marker import read_marker
from mailcli.preprocessing.sources._base import RawData, fields

#: Impressions are from 2017-05-06 00:00 to 2017-05-13 24:00 in UTC+8, whatever the machine's time zone.
FIRST_IMPRESSION = 1494000000
DAYS = 8
#: Days 1-6 are for training, 7 for validation, 8 for test (MAIL Sec. 4.1.1: days 1-7 and 8; here the 7th decides when
#: to stop).
VALIDATION_DAY, TEST_DAY = 6, 7
#: Behaviors cover the 22 days up to the last impression day; the log has a few negative or absurd times.
FIRST_BEHAVIOR = FIRST_IMPRESSION + (DAYS - 22) * DAY
#: btag, in the order of their frequency in the published log.
ACTIONS = ("pv", "cart", "fav", "buy")

PROFILE_FIELDS = (
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
        Column("price", "double", at_least=0),
    ),
    "user_profile": (Column("userid"), *(Column(name, optional=True) for name in PROFILE_FIELDS)),
    "behavior_log": (
        Column("user"),
        Column("time_stamp", at_least=FIRST_BEHAVIOR, below=FIRST_IMPRESSION + DAYS * DAY),
        Column("btag", "string", values=ACTIONS),
        Column("cate", optional=True, missing="NULL"),
        Column("brand", optional=True, missing="NULL"),
    ),
}
RULES = {
    "raw_sample": (Rule(("nonclk", "clk"), "nonclk = 1 - clk", lambda F: F.col("nonclk") + F.col("clk") != 1),),
}
#: A column of simulated raw_sample files, not of the published one: whether a click led to a purchase.
BUY = "buy"
BUY_COLUMN = Column(BUY, values=("0", "1"))
BUY_RULE = Rule((BUY, "clk"), f"{BUY} = 0 without a click", lambda F: F.col(BUY) > F.col("clk"))
#: The file behind each table.
STEMS = {
    "users": "user_profile",
    "items": "ad_feature",
    "impressions": "raw_sample",
    "behaviors": "behavior_log",
}


class Source(RawData):
    """Taobao display ads: 26.6 M impressions, 723 M behaviors (or simulated files in the same format)."""

    name = "alimama"
    raw_files: dict[str, CsvFile]
    schema = Schema(
        fields=(
            *fields("attributes", "user", *PROFILE_FIELDS),
            *fields("behavior", "cate", "brand"),
            *fields("context", "pid", "hour", "weekday"),
            *fields("target", "item", "cate", "brand", "campaign", "customer"),
        ),
        actions=ACTIONS,
        dense=("price",),
    )
    derivations: Derivations = MappingProxyType(
        {"context": {clock: Derivation(clock=clock, origin=FIRST_IMPRESSION) for clock in CLOCKS}}
    )
    #: ALIMAMA.md, from the published descriptions.
    official = MappingProxyType(
        {
            "users.rows": 1_061_768,
            "users.cms_segid": 97,
            "users.cms_group_id": 13,
            "users.final_gender_code": 2,
            "users.age_level": 7,
            "users.shopping_level": 3,
            "users.occupation": 2,
            "items.rows": 846_811,
            "items.item": 846_811,
            "items.cate": 6_769,
            "items.campaign": 423_436,
            "items.customer": 255_875,
            "items.brand": 99_815,
            "impressions.rows": 26_557_961,
            "impressions.user": 1_141_729,
            "impressions.pid": 2,
            "behaviors.rows": 723_268_134,
        }
    )

    def __init__(self, raw: Path, work: Path) -> None:
        del work
        paths = {stem: _find(raw, stem) for stem in COLUMNS}
        missing = [f"{stem}.csv" for stem, path in paths.items() if path is None]
        if missing:
            raise MailError(
                f"{raw}: {', '.join(missing)} not found. Looked for {', '.join(f'{s}.csv' for s in COLUMNS)} "
                f"(or .csv.gz). Get them from Tianchi, data set 56 'Ad Display/Click Data on Taobao.com' "
                f"(a free login), or simulate them: mail simulate alimama --users 2000 --seed 0 --out {raw}"
            )
        self.raw_files = {
            table: CsvFile(path, COLUMNS[stem], RULES.get(stem, ()))
            for table, stem in STEMS.items()
            if (path := paths[stem])
        }
        sample = self.raw_files["impressions"]
        if BUY in sample.header:
            self.raw_files["impressions"] = CsvFile(
                sample.path, (*sample.columns, BUY_COLUMN), (*sample.rules, BUY_RULE)
            )
            self.schema = replace(self.schema, labels=("click", "conversion"))
        self.files = tuple(file.path for file in self.raw_files.values())
        self.simulation = read_marker(raw, self.files)

    def users(self, engine: DataEngine) -> DataFrame:
        """One row per profile; an empty field stays null."""
        F = engine.functions
        frame = self.raw_files["users"].frame(engine, keep_lines=True)
        return frame.select(F.col("userid").alias("user"), *PROFILE_FIELDS, "fault", "line")

    def items(self, engine: DataEngine) -> DataFrame:
        """One row per ad; the brand `NULL` is null."""
        F = engine.functions
        frame = self.raw_files["items"].frame(engine, keep_lines=True)
        return frame.select(
            F.col("adgroup_id").alias("item"),
            F.col("cate_id").alias("cate"),
            "brand",
            F.col("campaign_id").alias("campaign"),
            "customer",
            "price",
            "fault",
            "line",
        )

    def impressions(self, engine: DataEngine) -> DataFrame:
        """The sample, with the hour of the day and the day of the week (from Saturday, the first day) in UTC+8."""
        F = engine.functions
        day = F.floor((F.col("time_stamp") - F.lit(FIRST_IMPRESSION)) / DAY)
        bought = [F.col(BUY).cast("int").alias("conversion")] if "conversion" in self.schema.labels else []
        split = F.when(day == TEST_DAY, F.lit(2)).when(day == VALIDATION_DAY, F.lit(1)).otherwise(F.lit(0))
        return (
            self.raw_files["impressions"]
            .frame(engine)
            .select(
                "user",
                F.col("adgroup_id").alias("item"),
                F.col("time_stamp").alias("time"),
                "pid",
                *self.clock_columns(engine, "time_stamp"),
                F.col("clk").cast("int").alias("click"),
                *bought,
                split.cast("int").alias("split"),
                "fault",
                "line",
            )
        )

    def behaviors(self, engine: DataEngine) -> DataFrame:
        """The log; a time before the 22 days or after the last impression day makes a row faulty."""
        F = engine.functions
        action = F.lit(None)
        for code, tag in enumerate(ACTIONS):
            action = F.when(F.col("btag") == tag, F.lit(code)).otherwise(action)
        frame = self.raw_files["behaviors"].frame(engine)
        time = F.col("time_stamp").alias("time")
        return frame.select("user", time, action.cast("int").alias("action"), "cate", "brand", "fault", "line")


def _find(raw: Path, stem: str) -> Path | None:
    for suffix in (".csv", ".csv.gz"):
        if (raw / f"{stem}{suffix}").is_file():
            return raw / f"{stem}{suffix}"
    return None
