"""What an expert is shown of earlier answers."""

from __future__ import annotations

from collections.abc import Sequence

from example_parts import example

from understudy.agents.briefing import build_payload
from understudy.agents.demonstrations import Demonstrations
from understudy.core.types import Example, Scope

BODY = "Revenue was $12 million in 2024."
VECTORS = {"What was revenue?": [1.0, 0.0], "What was profit?": [0.0, 1.0], "What was income?": [0.6, 0.8]}


def taught(question: str, said: str = "$12 million", **changes: object) -> Example:
    return example(said, BODY, BODY, question, **changes)


def embed(texts: list[str]) -> Sequence[Sequence[float]]:
    return [VECTORS[text] for text in texts]


def entries(collection: str) -> list[tuple[str, str, str]]:
    return [("report.md", "v1", "/report.md")]


class Kept:
    def __init__(self, *examples: Example) -> None:
        self.examples = list(examples)
        self.read: list[int] = []

    def later(self, collection: str, after: int) -> list[tuple[int, Example]]:
        self.read.append(after)
        numbered = list(enumerate(self.examples, 1))
        return [(n, e) for n, e in numbered if n > after and e.scope.collection == collection]


def test_the_nearest_verified_examples_of_the_collection_come_first_and_new_ones_are_found() -> None:
    kept = Kept(taught("What was profit?"), taught("What was revenue?"))
    shown = Demonstrations(embed, kept.later, entries, 1)
    assert [e.question for e in shown.nearest("What was income?", Scope())] == ["What was profit?"]
    kept.examples.append(taught("What was income?"))
    other = Scope(document="other.md")
    assert [e.question for e in shown.nearest("What was income?", other)] == ["What was income?"]
    assert kept.read == [0, 2], "what was read once is not read again"
    assert shown.nearest("What was income?", Scope(collection="b")) == []


def test_the_question_itself_and_what_cannot_be_checked_are_not_shown() -> None:
    invented = taught("What was profit?", "$99 million")
    forbidden = taught("What was profit?", may_train=False)
    kept = Kept(invented, forbidden, taught("What was revenue?"))
    shown = Demonstrations(embed, kept.later, entries, 2)
    assert shown.nearest("What was revenue?", Scope()) == []
    assert [e.question for e in shown.nearest("What was profit?", Scope())] == ["What was revenue?"]
    assert Demonstrations(embed, kept.later, entries, 0).nearest("What was profit?", Scope()) == []


def test_what_was_learned_of_another_version_of_a_document_is_not_shown() -> None:
    kept, now = Kept(taught("What was revenue?")), [("report.md", "v2", "/report.md")]
    shown = Demonstrations(embed, kept.later, lambda _: now, 1)
    assert shown.nearest("What was profit?", Scope()) == []
    now[:] = entries("default")
    assert [e.question for e in shown.nearest("What was profit?", Scope())] == ["What was revenue?"]
    now.clear()
    assert shown.nearest("What was profit?", Scope()) == []


def test_a_briefing_shows_examples_in_the_form_of_the_reply_before_the_question() -> None:
    payload = build_payload("What was profit?", Scope(), [], None, [], [taught("What was revenue?")])
    first, last = payload.user.split("\n\n")
    assert '> - What was revenue?\n>   {"answer": "$12 million", "not_in_documents": false' in first
    assert BODY in first
    assert last == "Question: What was profit?"
    assert "earlier questions" not in build_payload("What was profit?", Scope(), [], None, []).user
