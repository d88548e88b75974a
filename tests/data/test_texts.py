"""Columns of text: with offsets where one long text would make every row long."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcli.data.dataset import Dataset
from mailcli.data.numbering import (
    Numbering,
    RenumberedDataset,
    current_numbering,
    extend_numbering,
    load_numbering,
    numbering_sha256,
    save_numbering,
)
from mailcli.data.texts import decode_texts, encode_texts, join_texts, text_array
from mailcli.errors import MailError
from mailcli.serving.dataset_lookup import ValueLookup
from mailcli.serving.lookups import hash_table
from tests.helpers.schema_files import make_dataset

#: A text that would take 80 kB in each row.
LONG = "ü" * 20_000
SCHEMA = """
users = {files = "users.csv", user = "user", attributes = {city = "city"}}
items = {files = "items.csv", item = "item", features = {url = "url"}}
behaviors = {user = "user", time = "time", fields = {item = "item"}}
[impressions]
files = "log.csv"
user = "user"
item = "item"
time = "time"
click = "click"
[split]
by = "time"
validation_from = 100
test_from = 200
"""
#: Training shows the items i0 to i7; i3 has the long feature, as has the item x, which is never shown.
ITEMS = [f"i{number}" for number in range(8)]
URLS = {item: LONG if item == "i3" else f"url-{item}" for item in ITEMS}
UNSEEN = {f"x{number}": f"unseen-{number}" for number in range(8)} | {"x": f"{LONG}?"}
#: One user of twelve has a long id.
USERS = [*(f"u{number:02}" for number in range(11)), LONG]
VOCABULARY = sorted(URLS.values())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = [(user, item, 1 + number) for number, item in enumerate(ITEMS) for user in USERS]
    log += [(USERS[0], "i0", time) for time in (100, 101, 200, 201)]
    rows = "".join(f"{user},{item},{time},{time % 2}\n" for user, item, time in log)
    features = "".join(f"{item},{url}\n" for item, url in {**URLS, **UNSEEN}.items())
    files = {
        "users.csv": "user,city\n" + "".join(f"{user},r\n" for user in USERS),
        "items.csv": f"item,url\n{features}",
        "log.csv": f"user,item,time,click\n{rows}",
    }
    return make_dataset(tmp_path_factory.mktemp("long"), SCHEMA, files)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_are_what_they_were(texts: list[str]) -> None:
    array = np.empty(len(texts), object)
    array[:] = texts
    ends, utf8 = encode_texts(array)
    assert (ends.dtype, utf8.dtype) == (np.dtype(np.int64), np.dtype(np.uint8))
    assert decode_texts(ends, utf8).tolist() == texts


def test_texts_are_encoded_one_after_the_other() -> None:
    ends, utf8 = encode_texts(np.array(["aü", "", "b"], object))
    assert (ends.tolist(), utf8.tobytes()) == ([3, 3, 4], "aüb".encode())


@pytest.mark.parametrize(("ends", "utf8"), [([1, 3], b"ab"), ([2, 1, 2], b"ab"), ([], b"a"), ([1, 2], "ü".encode())])
def test_what_is_no_text_is_refused(ends: list[int], utf8: bytes) -> None:
    with pytest.raises(ValueError, match="ascend|UTF8"):
        decode_texts(np.array(ends, np.int64), np.frombuffer(utf8, np.uint8))


def test_texts_are_fixed_width_unless_that_wastes_memory() -> None:
    assert text_array(["b", "abc"]).dtype == np.dtype("<U3")
    assert text_array(["b", "abc"], width=5).dtype == np.dtype("<U5")
    assert text_array([]).dtype == np.dtype("<U1")
    long = text_array([LONG, *["b"] * 100])
    assert (long.dtype, long[:2].tolist()) == (np.dtype(object), [LONG, "b"])
    many = text_array([f"{number:06}" for number in range(10_000)])
    assert many.dtype == np.dtype("<U6")


def test_one_long_text_among_many_new_ones_does_not_widen_all() -> None:
    short = text_array([f"{number:06}" for number in range(1000)])
    assert join_texts(short, text_array(["7"])).dtype == np.dtype("<U6")
    both = join_texts(short, text_array([LONG]))
    assert both.dtype == np.dtype(object)
    assert both[[0, -1]].tolist() == ["000000", LONG]


def test_a_long_value_takes_its_own_bytes(dataset: Dataset) -> None:
    assert dataset.column("vocabularies", "url").tolist() == VOCABULARY
    assert dataset.column("unseen", "url").tolist() == sorted(UNSEEN.values())
    assert sorted(dataset.column("users", "raw").tolist()) == USERS
    assert dataset.column("vocabularies", "user").tolist() == USERS
    ids = dict(zip(dataset.column("items", "raw").tolist(), dataset.column("items", "url")[:].tolist(), strict=True))
    # The vocabulary's ids begin at 2; what training does not show is 1, UNKNOWN.
    assert ids == {**{item: 2 + VOCABULARY.index(url) for item, url in URLS.items()}, **dict.fromkeys(UNSEEN, 1)}
    # Two long urls and the long id, as a raw id and in a vocabulary, take 40 kB each. Fixed-width took 80 kB per row.
    assert sum(path.stat().st_size for path in dataset.folder.rglob("*.npy")) < 170_000


def test_damaged_texts_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset.folder, tmp_path / "copy")
    for name in ("url.ends.npy", "url.texts.npy"):
        path = folder / "vocabularies" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(MailError, match=rf"{name}: the column cannot be read .its values have the checksum"):
            Dataset(folder).column("vocabularies", "url")
        path.write_bytes(whole[:-1])
        with pytest.raises(MailError, match=rf"{name}: the column cannot be read .its [0-9,]+ values"):
            Dataset(folder)
        path.unlink()
        with pytest.raises(MailError, match=rf"{name}: the column cannot be read .there is no such file"):
            Dataset(folder)
        path.write_bytes(whole)


def test_long_texts_are_numbered_anew(dataset: Dataset, tmp_path: Path) -> None:
    own = current_numbering(dataset)
    known = Numbering({**own.values, "url": np.array(["a", "url-i0"])}, own.dense)
    numbering = extend_numbering(known, dataset)
    assert numbering.values["url"].tolist() == ["a", "url-i0", *(url for url in VOCABULARY if url != "url-i0")]
    save_numbering(tmp_path / "n.npz", numbering)
    checksum = numbering_sha256(numbering)
    loaded = load_numbering(tmp_path / "n.npz", checksum)
    assert {name: values.tolist() for name, values in loaded.values.items()} == {
        name: values.tolist() for name, values in numbering.values.items()
    }
    renumbered = RenumberedDataset(dataset.folder, loaded)
    assert dict(zip(renumbered.column("items", "raw"), renumbered.column("items", "url")[:], strict=True)) == {
        **{item: 2 + numbering.values["url"].tolist().index(url) for item, url in URLS.items()},
        **dict.fromkeys(UNSEEN, 1),
    }
    changed = np.array([text.replace("url-i7", "url-i8") for text in loaded.values["url"]], object)
    other = Numbering({**loaded.values, "url": changed}, loaded.dense)
    assert numbering_sha256(other) != checksum


def test_long_texts_are_looked_up(dataset: Dataset) -> None:
    import pyarrow as pa
    import tensorflow as tf

    values = dataset.column("vocabularies", "url")
    assert ValueLookup(values)(pa.array([VOCABULARY[0], None, LONG, "x"])).tolist() == [0, -1, 7, -1]
    table = hash_table(values, np.arange(2, 10), 1)
    assert table.lookup(tf.constant([LONG, VOCABULARY[0], "x"])).numpy().tolist() == [9, 2, 1]
