"""Items that a thread prepares."""

from __future__ import annotations

import threading

import pytest

from mailcli.utils.prefetch import prefetch


def test_results_come_in_order_from_another_thread() -> None:
    threads = []

    def double(item: int) -> int:
        threads.append(threading.current_thread())
        return 2 * item

    assert list(prefetch(double, range(10), 3)) == [2 * item for item in range(10)]
    assert threading.main_thread() not in threads
    assert list(prefetch(double, [], 3)) == []


def test_no_more_is_prepared_than_the_depth() -> None:
    items: list[int] = []
    results = prefetch(items.append, range(1_000), 2)
    for used in range(1, 6):
        next(results)
        assert len(items) <= used + 2
    results.close()  # type: ignore[attr-defined]
    assert len(items) <= 8


def test_an_error_is_raised_where_its_result_is_due() -> None:
    results = prefetch(lambda item: 1 // item, [1, 0, 1], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
