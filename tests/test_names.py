"""What a collection may be called."""

from __future__ import annotations

import pytest

from understudy.core.errors import UserError
from understudy.core.names import LONGEST, check_name


@pytest.mark.parametrize("name", ["default", "Annual reports 2024", "größe", "a.b", "x" * LONGEST])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a/b", "../x", "a\\b", "..", ".", "a\nb", "a\0", "x" * (LONGEST + 1)]
)
def test_no_names(name: str) -> None:
    with pytest.raises(UserError, match="a collection's name") as error:
        check_name(name)
    assert "\n" not in str(error.value)
