"""What the agent is compared with: ways to answer without a planner, from the same retriever and reader."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from understudy.agents import Agent
from understudy.core.types import Answer, Citation, Scope
from understudy.graphs.verify import citation
from understudy.retrieval.reader import SENTENCE_EDGE

__all__ = ["ask_reader", "ask_top_sentence", "sentences"]

PASSAGES = 5
"""As many as a search of the agent brings."""


def ask_top_sentence(agent: Agent, question: str, scope: Scope) -> Answer:
    """The sentence, or table row, of the top-ranked passage that the encoder finds nearest to the question.

    It is answer and citation at once, never declined; its confidence is the cosine.
    """
    found = agent.retriever.search(question, scope, limit=1)
    spans = sentences(found[0].text) if found else []
    if not spans:
        return unanswered(question)
    passage = found[0]
    texts = [passage.text[start:end] for start, end in spans]
    vectors = np.array(agent.encoder.embed_documents([question, *texts]), dtype=np.float32)
    near = vectors[1:] @ vectors[0]
    best = int(near.argmax())
    start, end = spans[best]
    cited = citation(passage, passage.start + start, passage.start + end, float(near[best]))
    return answer(question, texts[best], cited)


def ask_reader(agent: Agent, question: str, scope: Scope) -> Answer:
    """The reader's best span of the passages found for the question, however low its score, which is the confidence."""
    passages = agent.retriever.search(question, scope, limit=PASSAGES)
    findings = agent.reader.read(question, passages).findings
    if not findings:
        return unanswered(question)
    best = findings[0]
    if best.passage is None or best.quote_start is None or best.quote_end is None:
        return unanswered(question)
    return answer(question, best.text, citation(passages[best.passage], best.quote_start, best.quote_end, best.score))


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences and table rows of a passage stand, as the reader cuts them; rules under headers left out."""
    spans, at = [], 0
    for line in text.splitlines(keepends=True):
        edges = [] if line.lstrip().startswith("|") else [m.end() for m in SENTENCE_EDGE.finditer(line)]
        for start, end in pairwise([at, *(at + edge for edge in edges), at + len(line)]):
            words = text[start:end].rstrip()
            if any(c.isalnum() for c in words):
                spans.append((start, start + len(words)))
        at += len(line)
    return spans


def answer(question: str, text: str, cited: Citation) -> Answer:
    """A rule's answer, as sure as its citation's score."""
    confidence = min(1.0, max(0.0, cited.score))
    return Answer(
        question=question, text=text, route="local", reason="a rule", confidence=confidence, citations=(cited,),
        thread="",
    )  # fmt: skip


def unanswered(question: str) -> Answer:
    """What a rule gives that found nothing at all."""
    return Answer(question=question, text="", route="declined", reason="nothing found", confidence=0.0, thread="")
