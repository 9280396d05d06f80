"""An example as tests plant it."""

from __future__ import annotations

from understudy.core.types import Citation, Evidence, Example, ExpertAnswer, Message, Passage, Scope


def example(text: str, quote: str, body: str, question: str = "What was revenue?", **changes: object) -> Example:
    """An expert's answer to a question about one passage; `quote` is cited at its place, or at 0 if it is nowhere."""
    passage = Passage(
        document="report.md", title="Report", version="v1", location="1", start=100, end=100 + len(body), text=body
    )
    start = 100 + max(0, body.find(quote))
    cited = Citation(
        document="report.md", title="Report", location="1", start=start, end=start + len(quote), quote=quote, score=1.0
    )
    answer = ExpertAnswer(text=text, citations=(cited,) if quote else (), expert="gpt")
    return Example(
        question=question,
        scope=Scope(),
        transcript=(Message(role="user", content=question),),
        evidence=Evidence(passages=(passage,)),
        draft=None,
        expert=answer.model_copy(update=changes),
        small_model="starter@1",
        principal="owner",
    )
