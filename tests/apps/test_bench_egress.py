"""Suite `egress` plants what it says, sees what leaves, and tells a leak from none."""

from __future__ import annotations

import random
import urllib.request
from collections import Counter

import pytest

from understudy.apps.bench.egress import figures, first_line, made_cases
from understudy.apps.bench.loopback import Request, serving
from understudy.apps.bench.planted import DISGUISES, made_up
from understudy.privacy.protected import ProtectedValues, Value


def test_every_plant_is_in_its_document_or_question() -> None:
    cases = list(made_cases(90, random.Random(3)))
    plants = [p for case in cases for p in case.plants]
    assert len(plants) == 90
    for case in cases:
        for plant in case.plants:
            assert plant.written in (case.text if plant.place == "document" else case.questions[0])


@pytest.mark.parametrize("way", DISGUISES)
def test_the_matcher_finds_what_is_planted(way: str) -> None:
    rng = random.Random(way)
    values = [value for _ in range(4) for _, value in made_up(rng)]
    protected = ProtectedValues(Value(value, "OTHER", "test") for value in values)
    text = "\n".join(f"A note: {DISGUISES[way](value, rng)} was there." for value in values)
    assert {h.value.text for h in protected.find(text) if h.value.blocks} == set(values)


def test_what_leaves_is_captured_and_counted() -> None:
    (case,) = made_cases(20, random.Random(3))
    body = '{"messages": [{"role": "user", "content": "[passage 1] x\\nall of it"}]}'
    with serving(first_line) as captured:
        request = urllib.request.Request(f"{captured.url}/chat/completions", body.encode(), {"X-Note": "seen"})
        assert b"all of it" in urllib.request.urlopen(request).read()
    assert b"seen" in captured.requests[0].head
    nothing = figures([case], captured.requests, Counter())
    assert nothing["left"] == 0
    leak = Request("", b"", body.replace("all of it", case.plants[0].written).encode())
    assert figures([case], [leak], Counter())["left"] == 1
    spelled = Request("", b"", body.replace("all of it", " ".join(case.plants[0].value)).encode())
    assert figures([case], [spelled], Counter())["left"] == 1
