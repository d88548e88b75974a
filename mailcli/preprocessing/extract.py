"""Steps 1 and 2 of preprocessing, on the engine: rows typed and checked, users in order, rows split by bucket.

Each step is a stage: its folder is complete or missing, and later steps read the folder.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.preprocessing.buckets import assign_buckets, split_impressions
from mailcli.preprocessing.column_checks import FEWEST_ROWS
from mailcli.preprocessing.consistency import check_items, check_times, check_users, check_users_of_behaviors
from mailcli.preprocessing.extracted_tables import NO_IMPRESSION, TOO_LATE, ExtractedTables, count_rows
from mailcli.preprocessing.table_reader import TableReader

logger = logging.getLogger(__name__)


class Extraction:
    """The steps in the order of `run`.

    Args:
        reader: reads the raw tables.
        sample: share of the users to keep.
        expect_official: whether rows and distinct values must be those of the published files.
    """

    def __init__(self, reader: TableReader, sample: float, expect_official: bool) -> None:
        self.reader = reader
        self.source, self.engine, self.stages = reader.source, reader.engine, reader.stages
        self.sample = sample
        self.expect_official = expect_official

    def run(self) -> ExtractedTables:
        """Do all steps that are not done yet, from the small tables to the long log (MailError: one cannot be done)."""
        self._check_log()
        self.reader.joined()
        impressions = self.reader.impressions() if self.source.impressions_first else None
        profiles, features = self.reader.users(), self.reader.items()
        impressions = impressions or self.reader.impressions()
        self._check_official()
        keys = self.stages.run("keys", lambda folder: self._assign_buckets(impressions, features["item"], folder))
        users, items = (pq.read_table(keys / f"{table}.parquet") for table in ("users", "items"))
        self._check_labels(users)
        check_users(self.source, users, profiles)
        check_items(self.source, items, features)
        behaviors = self.reader.behaviors(keys / "users.parquet")
        self._check_official()
        split = self.stages.run("shown", lambda folder: self._split_impressions(impressions, keys, folder)) / "rows"
        ignored = {bucket: count_rows(behaviors / f"bucket={bucket}") for bucket in (NO_IMPRESSION, TOO_LATE)}
        if not any(map(count_rows, behaviors.glob("bucket=[0-9]*"))):
            if ignored[NO_IMPRESSION] and not ignored[TOO_LATE] and self.sample == 1:
                check_users_of_behaviors(self.source, self.engine, users)
            files = ", ".join(path.name for path in self.source.files)
            raise MailError(
                f"{files}: no behavior is earlier than an impression of its user. MAIL learns from earlier behaviors."
            )
        check_times(self.source, behaviors.glob("bucket=[0-9]*/*.parquet"), impressions.glob("*.parquet"))
        return ExtractedTables(profiles, features, users, items, split, behaviors, self.reader.facts, ignored)

    def _assign_buckets(self, impressions: Path, known_items: pa.ChunkedArray, folder: Path) -> None:
        assign_buckets(
            self.engine, self.source.schema, impressions, known_items, self.source.files, self.sample, folder
        )

    def _split_impressions(self, impressions: Path, keys: Path, folder: Path) -> None:
        split_impressions(self.engine, self.source.schema, impressions, keys, folder)

    def _check_log(self) -> None:
        """Refuse a log in which no row seems usable, before anything slow (MailError)."""
        file = self.source.raw_files.get("behaviors")
        if file and self.reader.rejects.limit < 1:
            file.check_sample(self.engine, self.stages.temp)

    def _check_official(self) -> None:
        """Refuse files that are not the published ones (MailError)."""
        if not self.expect_official:
            return
        facts = self.reader.facts
        differences = [
            f"{name} {facts[name]:,} (published {count:,})"
            for name, count in self.source.official.items()
            if name in facts and facts[name] != count
        ]
        if differences:
            raise MailError(
                f"{self.source.files[0].parent}: not the published files: {', '.join(differences)}. "
                f"Get them again, or leave out --expect-official."
            )

    def _check_labels(self, users: pa.Table) -> None:
        """Refuse a split without impressions of both classes (MailError)."""
        total = {name: pc.sum(users[name]).as_py() or 0 for name in SPLITS}
        clicks = {name: pc.sum(users[f"{name}_clicks"]).as_py() or 0 for name in SPLITS}
        file = self.source.path_of("impressions")
        sample = f" --sample kept {len(users):,} users." if self.sample < 1 else ""
        if sum(clicks.values()) in {0, sum(total.values())}:
            only = "0 (no click)" if not sum(clicks.values()) else "1 (click)"
            raise MailError(f"{file}: every label is {only}. Expected both classes.{sample}")
        for name in SPLITS:
            if not total[name]:
                raise MailError(f"{file}: no impression falls into the {name} split. Expected some in each.{sample}")
            if clicks[name] in {0, total[name]}:
                raise MailError(
                    f"{file}: all {total[name]} labels of the {name} split are equal. Expected both classes.{sample}"
                )
        if "conversion" in self.source.schema.labels:
            self._check_conversions(users, clicks)

    def _check_conversions(self, users: pa.Table, clicks: dict[str, int]) -> None:
        """Training clicks have both conversions and none (MailError: no conversion); a note for the other splits."""
        file = self.source.path_of("impressions")
        conversions = {name: pc.sum(users[f"{name}_conversions"]).as_py() or 0 for name in SPLITS}
        if not conversions["train"]:
            where = "" if not any(conversions.values()) else " of the train split"
            raise MailError(
                f"{file}: every conversion{where} is 0, of {clicks['train']:,} clicks. Expected some with 1; check the "
                "rule for conversions, or leave it out."
            )
        if conversions == clicks and sum(clicks.values()) >= FEWEST_ROWS:
            logger.warning(f"Note: {file.name}: every click is a conversion, so that conversions add no information.")
        for name in SPLITS[1:]:
            if not conversions[name]:
                logger.warning(
                    f"Note: {file.name}: no click of the {name} split is a conversion, so that its CTCVR has no AUC."
                )
