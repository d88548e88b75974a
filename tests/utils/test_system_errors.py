"""What to do about errors of the operating system that a library's text quotes."""

from __future__ import annotations

import pytest

from mailcli.utils.system_errors import advice_on


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{{function_node __wrapped__SaveV2}} x/.partial; File too large [Op:SaveV2]",
            ("File too large", "Allow larger files (`ulimit -f`) and run the same command again."),
        ),
        (
            'Could not write file "x.parquet": No space left on device',
            ("No space left on device", "Free some space and run the same command again."),
        ),
        ("a tensor has no such shape", None),
    ],
)
def test_the_error_in_a_text_and_what_to_do(text: str, expected: tuple[str, str] | None) -> None:
    assert advice_on(text) == expected
