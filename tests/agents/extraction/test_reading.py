"""Words as values of every kind that a field may have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from understudy.agents.extraction.kinds import Kind, kind_of
from understudy.agents.extraction.reading import Unread, held, read


class Law(Enum):
    NEW_YORK = "NY"
    DELAWARE = "DE"


STATES = Literal["New York", "Delaware"]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        (" as it is; said ", str, " as it is; said "),
        ("twelve (12) months", int, 12),
        ("3.5%", float, 0.035),
        ("$1,250.00", Decimal, Decimal("1250.00")),
        ("$1,250.00", Annotated[Decimal, Ge(0)] | None, Decimal("1250.00")),
        ("12 March 2021", date, date(2021, 3, 12)),
        ("12 March 2021", datetime, datetime(2021, 3, 12)),
        ("Yes", bool, True),
        ("No, it doesn't.", bool, False),
        ("the State of New York", STATES, "New York"),
        ("new york", Law, Law.NEW_YORK),
        ("DE", Law, Law.DELAWARE),
        ("Level 2", Literal[1, 2], 2),
        ("Acme, Inc.; Beta GmbH", list[str], ["Acme, Inc.", "Beta GmbH"]),
        ("- Ann\n- Bo\n", list[str], ["Ann", "Bo"]),
        ("5; 7", list[int] | None, [5, 7]),
    ],
)
def test_what_is_read(text: str, annotation: Any, value: Any) -> None:
    found = read(text, kind_of(annotation))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "annotation", "why"),
    [
        ("2.5", int, "no whole number"),
        ("5; many", list[int], "holds no number"),
        ("No later than 30 days", bool, "neither yes nor no"),
        ("Yes; No", bool, "both yes and no"),
        ("not Delaware", STATES, "none of the possible"),
        ("any state other than Delaware", STATES, "none of the possible"),
        ("New York or Delaware", STATES, "names 2 of"),
        ("Texas", Law, "none of the possible"),
    ],
)
def test_what_is_not(text: str, annotation: Any, why: str) -> None:
    with pytest.raises(Unread, match=why):
        read(text, kind_of(annotation))


class Nested(BaseModel):
    x: int


class Mixed(Enum):
    A = 1
    B = "b"


@pytest.mark.parametrize(
    "annotation",
    [Nested, dict[str, int], int | str, list, list[list[int]], list[int | None], bytes, Any, Mixed, Literal[1, "a"]],
)
def test_what_no_column_can_hold_is_no_kind(annotation: Any) -> None:
    with pytest.raises(TypeError, match="it may be str, int"):
        kind_of(annotation)


def test_constraints_say_how_many_decimals_there_are() -> None:
    info = Field(decimal_places=2)
    assert kind_of(Decimal, tuple(info.metadata)).places == 2
    assert kind_of(Annotated[Decimal, info] | None).places == 2
    assert kind_of(Decimal).places == 12


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (5, Kind("whole"), None),
        (2**63, Kind("whole"), "too large for 64 bits"),
        (True, Kind("whole"), "became bool"),
        (datetime(2021, 3, 12), Kind("date"), "became datetime"),
        (float("inf"), Kind("float"), "no finite number"),
        (Decimal("1.25"), Kind("decimal", places=2), None),
        (Decimal("1.256"), Kind("decimal", places=2), "2 after the point"),
        (Decimal("1E+37"), Kind("decimal", places=2), "more than 36 digits before"),
        (Decimal("NaN"), Kind("decimal"), "digits"),
        (["a", 5], Kind("list", of=Kind("text")), "became int"),
        ("b", Kind("choice", options=("a",)), "none of the possible"),
        ("NY", Kind("choice", options=tuple(Law)), None),
    ],
)
def test_only_what_a_column_can_hold_is_held(value: Any, kind: Kind, why: str | None) -> None:
    said = held(value, kind)
    assert said is None if why is None else why in str(said)


@given(
    st.lists(st.text("abc, ", min_size=1).map(str.strip).filter(bool), min_size=1), st.sampled_from(["; ", "\n", ";"])
)
def test_a_list_has_its_parts(parts: Sequence[str], between: str) -> None:
    assert read(between.join(parts), kind_of(list[str])) == list(parts)
