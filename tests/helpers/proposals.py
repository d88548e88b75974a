"""A small log as other programs write it, and the dataset of its proposed schema file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailcli.data.dataset import Dataset
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers.schema_files import run_mail

#: The comment behind the time of the impressions.
UTC_CHECK = (
    '    # check this: hours and days are in UTC; for local time add utc_offset = "+08:00", to the behaviors too'
)
#: Noon of 2023-11-14, -15 and -16, in seconds since 1970.
NOONS = (1_699_963_200, 1_700_049_600, 1_700_136_000)


def log(time: Callable[[int], str] = str, label: tuple[str, str] = ("0", "1"), separator: str = ",") -> str:
    """Two users, each shown both items on each of three days at noon and the second after; the first is clicked."""
    rows = [("user_id", "item_id", "timestamp", "click")]
    for noon in NOONS:
        for user in ("u1", "u2"):
            rows += [(user, "i1", time(noon), label[1]), (user, "i2", time(noon + 1), label[0])]
    return "".join(separator.join(row) + "\n" for row in rows)


USERS = "user_id,city\nu1,Rome\nu2,Oslo\n"
FILES = {"users.csv": USERS, "log.csv": log()}


#: The impressions of the log: user, item, time and split.
SHOWN = {
    (user, item, noon + second, split)
    for noon, split in zip(NOONS, ("train", "validation", "test"), strict=True)
    for user in ("u1", "u2")
    for item, second in (("i1", 0), ("i2", 1))
}


def propose_dataset(folder: Path, files: list[Path]) -> tuple[str, Dataset]:
    """The proposal for some files, and the dataset that it makes without any change."""
    path, data = folder / "my.toml", folder / "data"
    run_mail("schema", "init", *files, "-o", path)
    text = path.read_text(encoding="utf-8")
    raw = next(line for line in text.splitlines() if "--raw" in line).partition("--raw ")[2]
    return text, preprocess("tabular", Path(raw), data, "mine", PreprocessOptions(schema=path, threads=1))


def clicks(dataset: Dataset) -> list[int]:
    """Number of clicks in each split."""
    return [int(dataset.column(split, "click").sum()) for split in ("train", "validation", "test")]
