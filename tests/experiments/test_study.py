"""What a search that belongs to other settings says about them."""

from __future__ import annotations

from mailcli.experiments.study import _difference


def test_short_texts_are_shown_whole() -> None:
    assert _difference("all", "new") == "all -> new"
    assert _difference("3", "33") == "3 -> 33"


def test_of_long_texts_the_part_with_the_first_difference_is_shown() -> None:
    same = "".join(chr(65 + place % 26) for place in range(100))
    assert _difference(same + "1", same + "22") == f"...{same[60:]}1 -> ...{same[60:]}22"
    # Where one ends, it is the end that differs.
    assert _difference(same, same + "2") == f"...{same[60:]} -> ...{same[60:]}2"
    # A difference at the very beginning leaves nothing out before it.
    assert _difference("1" + same, "2" + same) == f"1{same[:79]} -> 2{same[:79]}"
