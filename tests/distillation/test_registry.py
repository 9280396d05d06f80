"""Adapters on disk: kept once, numbered, in force, taken back, and never taken up when changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from card_parts import making

from understudy.core.adapters import AdapterCard
from understudy.core.errors import AdapterError
from understudy.distillation.registry import Registry, file_hash

PLACE = ("leases", "staff")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    weights = tmp_path / "reader.safetensors"
    weights.write_bytes(b"weights")
    return {"reader.safetensors": weights}


def file_of(registry: Registry, card: AdapterCard) -> Path:
    path = registry.file(card, "reader.safetensors")
    assert path is not None
    return path


def test_a_card_comes_back_as_it_was_kept(registry: Registry, files: dict[str, Path]) -> None:
    kept = registry.add(files, making("r1", rejected={"a duplicate": 2}, settings={"breadth": 20}, parent="v0"))
    assert kept == making("r1", rejected={"a duplicate": 2}, settings={"breadth": 20}, parent="v0")(
        "v1", {"reader.safetensors": file_hash(files["reader.safetensors"])}
    )
    assert Registry(file_of(registry, kept).parents[3]).card(*PLACE, "v1") == kept
    assert file_of(registry, kept).read_bytes() == b"weights"
    assert file_of(registry, kept).stat().st_mode & 0o077 == 0
    assert registry.file(kept, "planner.gguf") is None


def test_a_run_is_kept_once(registry: Registry, files: dict[str, Path]) -> None:
    first = registry.add(files, making("r1"))
    files["reader.safetensors"].write_bytes(b"other")
    assert registry.add(files, making("r1")) == first
    assert registry.cards() == [first]
    assert file_of(registry, first).read_bytes() == b"weights"


def test_versions_count_up_by_domain_and_label(registry: Registry, files: dict[str, Path]) -> None:
    versions = [registry.add(files, making(f"r{n}")).version for n in range(11)]
    assert versions == [f"v{n}" for n in range(1, 12)]
    assert registry.add(files, making("r0", label="board")).version == "v1"
    assert registry.add(files, making("r0", domain="health")).version == "v1"
    assert [(c.domain, c.label, c.version) for c in registry.cards()] == [
        ("health", "staff", "v1"),
        ("leases", "board", "v1"),
        *(("leases", "staff", v) for v in versions),
    ]
    assert list(registry.labels("leases")) == ["board", "staff"]


def test_what_a_killed_process_left_is_no_adapter(registry: Registry, files: dict[str, Path]) -> None:
    earlier = registry.add(files, making("r1"))
    place = file_of(registry, earlier).parents[1]
    whole = place / ".v2.4711"  # killed just before the last step: all is there but the name
    whole.mkdir()
    (whole / "reader.safetensors").write_bytes(b"weights")
    (whole / "card.json").write_text(making("r2")("v2", earlier.files).model_dump_json())
    (place / "v2").mkdir()  # and, killed in the middle of a removal, a folder without a card
    (place / "v2" / "reader.safetensors").write_bytes(b"half")
    assert registry.cards() == [earlier]
    card = registry.add(files, making("r2"))
    assert card.version == "v2"
    registry.promote(card)
    assert registry.live(*PLACE) == card
    assert file_of(registry, card).read_bytes() == b"weights"
    assert sorted(p.name for p in place.iterdir()) == ["live.json", "v1", "v2"]


def test_what_is_live_follows_promotions_and_rollbacks(registry: Registry, files: dict[str, Path]) -> None:
    assert registry.live(*PLACE) is None
    one, two = registry.add(files, making("r1")), registry.add(files, making("r2"))
    assert registry.live(*PLACE) is None, "what is kept isn't live"
    for card in (one, two, two):
        registry.promote(card)
    assert registry.history(*PLACE) == ["v1", "v2"]
    assert registry.live(*PLACE) == two
    registry.promote(one)
    assert registry.history(*PLACE) == ["v1", "v2", "v1"]
    assert [registry.rollback(*PLACE) for _ in range(3)] == ["v2", "v1", None]
    assert registry.live(*PLACE) is None
    with pytest.raises(AdapterError, match="no adapter of domain 'leases' is live"):
        registry.rollback(*PLACE)
    assert registry.cards() == [one, two], "an adapter that was taken back stays"


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_files_that_the_gate_did_not_see_are_not_taken_up(
    registry: Registry, files: dict[str, Path], change: str
) -> None:
    card = registry.add(files, making("r1"))
    registry.promote(card)
    if change == "changed":
        file_of(registry, card).write_bytes(b"weightS")
    else:
        file_of(registry, card).unlink()
    with pytest.raises(AdapterError, match=r"missing or was changed.*understudy adapters rollback leases"):
        registry.live(*PLACE)
    with pytest.raises(AdapterError):
        registry.promote(card)
    assert registry.rollback(*PLACE) is None, "going back needs no sound files"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"history": 3}'])
def test_a_damaged_pointer_is_said(registry: Registry, files: dict[str, Path], text: str) -> None:
    card = registry.add(files, making("r1"))
    (file_of(registry, card).parents[1] / "live.json").write_text(text)
    with pytest.raises(AdapterError, match=r"live\.json is damaged"):
        registry.live(*PLACE)


def test_a_damaged_card_is_said(registry: Registry, files: dict[str, Path]) -> None:
    card = registry.add(files, making("r1"))
    (file_of(registry, card).parent / "card.json").write_text('{"version": "v1"}')
    with pytest.raises(AdapterError, match=r"card\.json is damaged"):
        registry.card(*PLACE, "v1")


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", "a/../../../x", "/x", "a\\b", "ümlaut and space", "%2E%2E", ".runs"]
)
def test_names_stay_inside(registry: Registry, files: dict[str, Path], tmp_path: Path, name: str) -> None:
    before = {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "adapters")}
    for domain, label in [(name, "staff"), ("leases", name), (name, name)]:
        card = registry.add(files, making("r1", domain=domain, label=label))
        registry.promote(card)
        assert registry.live(domain, label) == card
        path = file_of(registry, card).resolve()
        assert path.relative_to((tmp_path / "adapters").resolve()).parts[2:] == ("v1", "reader.safetensors")
    assert len(registry.cards()) == 3
    assert {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "adapters")} == before


@pytest.mark.parametrize("version", ["v9", "", ".", "../board/v1", "../../health/staff/v1", "v1/../v1"])
def test_a_version_that_is_not_there_names_those_that_are(
    registry: Registry, files: dict[str, Path], version: str
) -> None:
    registry.add(files, making("r1"))
    registry.add(files, making("r1", label="board"))
    registry.add(files, making("r1", domain="health"))
    with pytest.raises(AdapterError, match=r"there are: v1$"):
        registry.card(*PLACE, version)
