"""A schema filled from documents by the facade, with the small model that ships."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from understudy.agents import Agent
from understudy.core.errors import NoDocumentsError, UserError

DAYS = {"acme": 11, "beta": 12}


class Lease(BaseModel):
    dated: date = Field(description="What date is the lease dated?")
    years: int | None = Field(None, description="How long is the term of the lease?")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    for name, day in DAYS.items():
        text = f"This lease is dated {day} March 2021. The term of the lease is two (2) years."
        (tmp_path / f"{name}.md").write_text(f"# Agreement\n\n{text}\n")
    with Agent.open(tmp_path / "w") as opened:
        opened.ingest([tmp_path / "acme.md", tmp_path / "beta.md"])
        yield opened


def test_a_typed_record_a_document(agent: Agent) -> None:
    records = agent.extract(Lease)
    assert [r.document for r in records] == [d["id"] for d in agent.documents("default")]
    assert [r.value for r in records] == [Lease(dated=date(2021, 3, day), years=2) for day in DAYS.values()]
    for record in records:
        for one in record.fields.values():
            assert one.route == "local"
            for cited in one.citations:
                stored = agent.store.document("default", cited.document)
                assert stored is not None
                assert cited.document == record.document
                assert stored.text[cited.start : cited.end] == cited.quote


async def test_of_chosen_documents_from_another_loop(agent: Agent) -> None:
    beta, gone = await agent.aextract(Lease, ["beta.md", "gone.md", "beta.md"])
    assert beta.value is not None
    assert beta.value.dated.day == 12
    assert gone.value is None
    assert gone.fields["dated"].error == "there is no document 'gone.md' in collection 'default'"


def test_what_can_not_be_extracted(agent: Agent) -> None:
    with pytest.raises(NoDocumentsError, match="nothing"):
        agent.extract(Lease, collection="nothing")
    with pytest.raises(UserError, match="has no fields"):
        agent.extract(BaseModel)
