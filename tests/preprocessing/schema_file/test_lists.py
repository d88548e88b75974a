"""Lists of behaviors without times: one per user."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from tests.helpers.schema_files import LISTS as SCHEMA
from tests.helpers.schema_files import make_dataset, raw_rows

HEAD = "user,item,click,city,part,hist\n"
#: The first user's later row knows one click more; the last one's first row has none.
MOMENTS = HEAD + "u1,x,1,r,a,p|q\nu2,x,0,r,a,p\nu3,x,0,r,a,\nu1,y,0,r,c,p|q|x\nu2,y,1,r,c,p\nu3,y,0,r,c,q\n"
FIRST = SCHEMA.replace(
    'user = "user"\n[behaviors.fields]', 'user = "user"\nseveral_lists = "first"\n[behaviors.fields]'
)


def behaviors(folder: Path, schema: str, text: str) -> list[tuple[str, int, str]]:
    rows = raw_rows(folder, schema, {"log.csv": text}, "behaviors")
    return sorted((row["user"], row["time"], row["item"]) for row in rows)


def test_rows_with_the_histories_of_their_moments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MailError) as error:
        behaviors(tmp_path, SCHEMA, MOMENTS)
    assert error.value.message == (
        f"{tmp_path}/raw/log.csv: user 'u1' has rows with different lists of behaviors.fields.item, for example "
        "['p', 'q', 'x'] and ['p', 'q'], as have 2 of 3 users. Expected one list per user. Give one row per behavior with "
        'its time (behaviors.time) instead, or set behaviors.several_lists = "first" to take one list for all rows of a '
        "user."
    )


def test_a_row_without_a_list_differs_from_one_with_it(tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"user 'u3' has rows .* \['q'\] and \[\], as have 1 of 1 users"):
        behaviors(tmp_path, SCHEMA, HEAD + "u3,x,0,r,a,\nu3,y,0,r,c,q\n")


def test_the_order_of_a_list_counts(tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"\['q', 'p'\] and \['p', 'q'\]"):
        behaviors(tmp_path, SCHEMA, HEAD + "u1,x,0,r,a,p|q\nu1,y,0,r,a,q|p\n")


def test_equal_lists_are_one(tmp_path: Path) -> None:
    text = HEAD + "u1,x,1,r,a,p|q\nu1,y,0,r,c,p|q\nu2,y,0,r,c,\n"
    assert behaviors(tmp_path, SCHEMA, text) == [("u1", -2, "p"), ("u1", -1, "q")]


def test_one_of_several_lists_may_be_taken(tmp_path: Path) -> None:
    """Those of training rows first; a missing list is none."""
    text = MOMENTS.replace("u3,x,0,r,a,\n", "u3,x,0,r,a,z\nu3,x,0,r,a,y\n")
    assert behaviors(tmp_path, FIRST, text) == [
        ("u1", -2, "p"), ("u1", -1, "q"), ("u2", -1, "p"), ("u3", -1, "y"),
    ]  # fmt: skip


def test_impressions_may_have_times_where_lists_have_none(tmp_path: Path) -> None:
    schema = SCHEMA.replace('click = "click"', 'time = "at"\nclick = "click"')
    files = {"log.csv": "user,item,click,city,part,hist,at\n"}
    for user, city in (("u1", "r"), ("u2", "s")):
        for at, part in enumerate("aabbcc", start=1_700_000_000):
            files["log.csv"] += f"{user},{'xy'[at % 2]},{at % 2},{city},{part},x|y|x,{at}\n"
    dataset = make_dataset(tmp_path, schema, files)
    assert dataset.column("behaviors", "time").tolist() == [-3, -2, -1] * 2
    # All three are before every impression.
    assert {split: dataset.earlier_behaviors(split).tolist() for split in SPLITS} == {
        "train": [3] * 4,
        "validation": [3] * 4,
        "test": [3] * 4,
    }


def test_behaviors_with_times_are_no_lists(tmp_path: Path) -> None:
    schema = FIRST.replace("several_lists", 'time = "t"\nseveral_lists')
    with pytest.raises(
        MailError, match=r"behaviors.several_lists: expected no such key, because behaviors.time is given"
    ):
        behaviors(tmp_path, schema, MOMENTS)
    with pytest.raises(MailError, match=r"behaviors.several_lists = 'last': expected one of 'first'"):
        behaviors(tmp_path, FIRST.replace('"first"', '"last"'), MOMENTS)


TIMES = SCHEMA[: SCHEMA.index('by = "column"')].replace('click = "click"', 'time = "at"\nclick = "click"')


@pytest.mark.parametrize(
    "split",
    ['by = "time"\nvalidation_from = 20\ntest_from = 30', 'by = "user_share"\nvalidation = 0.25\ntest = 0.25'],
)
def test_of_several_lists_that_of_the_earliest_impression_is_taken(tmp_path: Path, split: str) -> None:
    """The first in the order of the values is that of a test row, which knows the future."""
    schema = TIMES.replace(
        'user = "user"\n[behaviors.fields]', 'user = "user"\nseveral_lists = "first"\n[behaviors.fields]'
    )
    text = "user,item,click,city,hist,at\nu1,x,0,r,a,31\nu1,y,1,r,m,12\nu1,x,0,r,k|l,11\nu1,y,1,r,b,21\n"
    assert behaviors(tmp_path, schema + split, text) == [("u1", -2, "k"), ("u1", -1, "l")]


PAIRS = SCHEMA.replace(
    "[impressions]",
    'kind = {column = "kinds", separator = "|"}\n[items.features]\nkind = "kind"\n[impressions]',
    1,
)


def test_steps_of_two_lists_stay_together_where_one_lacks_a_value(tmp_path: Path) -> None:
    """The third step has neither value, and is none."""
    text = "user,item,click,city,part,kind,hist,kinds\nu1,x,1,r,a,x,1|||4,x|z||\n"
    rows = raw_rows(tmp_path, PAIRS, {"log.csv": text}, "behaviors")
    steps = sorted((row["time"], row["item"], row["kind"]) for row in rows)
    assert steps == [(-3, "1", "x"), (-2, None, "z"), (-1, "4", None)]


def steps(folder: Path, schema: str, files: dict[str, str]) -> list[tuple[int, str | None, str | None]]:
    return sorted((row["time"], row["item"], row["kind"]) for row in raw_rows(folder, schema, files, "behaviors"))


@pytest.mark.parametrize(
    ("lists", "step"), [("1,", ("1", None)), (",x", (None, "x")), ("1,?", ("1", None)), ("1,x", ("1", "x"))]
)
def test_one_step_may_lack_a_value(tmp_path: Path, lists: str, step: tuple[str | None, str | None]) -> None:
    """An empty text is that of a list with one missing value, too."""
    schema = PAIRS.replace('files = "log.csv"', 'files = "log.csv"\nmissing = ["?"]')
    text = f"user,item,click,city,part,kind,hist,kinds\nu1,x,1,r,a,x,{lists}\n"
    assert steps(tmp_path, schema, {"log.csv": text}) == [(-1, *step)]


def test_an_empty_text_is_no_list_of_two_steps(tmp_path: Path) -> None:
    text = "user,item,click,city,part,kind,hist,kinds\nu1,x,1,r,a,x,1|2,\n"
    (row,) = raw_rows(tmp_path, PAIRS, {"log.csv": text}, "behaviors")
    assert (row["fault"] is not None, row["line"]) == (True, "u1,x,1,r,a,x,1|2,")


def test_gaps_in_lists_of_floats_keep_their_places(tmp_path: Path) -> None:
    """As pandas writes lists of numbers with gaps: the second step has both values."""
    nan = float("nan")
    columns = {"user": ["u1"], "item": ["7"], "click": [1], "city": ["r"], "part": ["a"], "kind": ["20"]}
    lists = {"hist": [[1.0, nan, 3.0, nan]], "kinds": [[nan, 20.0, 30.0, nan]]}
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table({**columns, **lists}), tmp_path / "raw" / "log.parquet")
    schema = PAIRS.replace("log.csv", "log.parquet").replace('separator = "|"', "list = true")
    schema = 'integers = ["item", "kind"]\n' + schema
    assert sorted((row["time"], row["item"], row["kind"]) for row in raw_rows(tmp_path, schema, {}, "behaviors")) == [
        (-3, 1, None),
        (-2, None, 20),
        (-1, 3, 30),
    ]
