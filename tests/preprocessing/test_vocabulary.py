from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcli.preprocessing.vocabulary import MISSING, VocabularyBuilder

texts = st.lists(st.one_of(st.none(), st.sampled_from(["b", "a", "", "ä", "10", "9"])), max_size=20)
numbers = st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=20)


@given(st.one_of(texts, numbers), st.randoms(use_true_random=False))
def test_vocabulary(values: list[str | int | None], random: object) -> None:
    import pyarrow as pa

    column = pa.array(values, pa.string() if any(isinstance(v, str) for v in values) else pa.int64())
    builder = VocabularyBuilder()
    codes = builder.codes(column)
    half = len(values) // 2
    builder.see(codes, np.arange(len(values)) < half)
    known = sorted({v for v in values[:half] if v is not None})  # type: ignore[type-var]
    unseen = sorted({v for v in values[half:] if v is not None} - {*known})  # type: ignore[type-var]
    assert builder.values().tolist() == known
    assert builder.unseen().tolist() == unseen
    assert len(builder) == 2 + len(known)
    assert builder.total == 2 + len(known) + len(unseen)
    expected = [1 if v is None else 2 + [*known, *unseen].index(v) for v in values]
    assert builder.ids(codes).tolist() == expected
    assert [code == MISSING for code in codes] == [v is None for v in values]


def test_no_value_is_seen_after_the_first_id_was_given() -> None:
    builder = VocabularyBuilder()
    builder.see(np.array([5, 3]), np.array([True, False]))
    assert builder.ids(np.array([3, 5])).tolist() == [3, 2]
    with pytest.raises(RuntimeError, match="a vocabulary that has given ids cannot see more values"):
        builder.see(np.array([4]), np.array([True]))
