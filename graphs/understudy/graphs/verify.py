"""From a step to a draft: quotes located, citations built, and everything checked that can be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from understudy.core.steps import AnswerStep, Point, Taken
from understudy.core.types import Citation, Draft, Evidence, Finding, Passage

__all__ = ["absence", "draft_of", "unsupported_numbers"]

NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def draft_of(taken: Taken, question: str, evidence: Evidence) -> Draft:
    """The draft that an answer step stands for, with what verification found wrong."""
    step = taken.step
    support = 1.0
    if isinstance(step, Point):
        text, citations, problems = pointed(step, evidence)
        support = min((f.score for f in chosen(step, evidence)), default=1.0)
    elif isinstance(step, AnswerStep):
        text, citations, problems = quoted(step, question, evidence)
    else:
        raise TypeError(f"{type(step).__name__} is no answer")
    return Draft(
        text=text,
        citations=tuple(citations),
        mean_logprob=taken.mean_logprob,
        min_logprob=taken.min_logprob,
        removed_mass=taken.removed_mass,
        support=support,
        problems=tuple(problems),
    )


def chosen(step: Point, evidence: Evidence) -> list[Finding]:
    """The findings that a step points at, each once."""
    return [evidence.findings[n - 1] for n in dict.fromkeys(step.findings) if 1 <= n <= len(evidence.findings)]


def pointed(step: Point, evidence: Evidence) -> tuple[str, list[Citation], list[str]]:
    """An answer made of findings; a calculated one cites what it was calculated from."""
    findings = chosen(step, evidence)
    if not findings:
        return "", [], ["it points at no finding"]
    citations = [c for f in findings for c in cited(f, evidence)]
    if not citations and all(denies(f) for f in findings):
        return findings[0].text, list(absence(evidence)), [] if evidence.passages else ["nothing was searched"]
    problems = [f"the support of {f.text!r} is not in its passage" for f in findings if misplaced(f, evidence)]
    if not citations and not problems and any(f.origin != "tool" for f in findings):
        problems = [f"nothing in the documents supports {findings[0].text!r}"]
    return "; ".join(f.text for f in findings), list(dict.fromkeys(citations)), problems


def cited(finding: Finding, evidence: Evidence) -> Iterable[Citation]:
    """The citations of a finding, or of its inputs."""
    if finding.passage is None or finding.quote_start is None or finding.quote_end is None:
        for index in finding.inputs:
            yield from cited(evidence.findings[index], evidence)
        return
    if misplaced(finding, evidence):
        return
    yield citation(evidence.passages[finding.passage], finding.quote_start, finding.quote_end, finding.score)


def denies(finding: Finding) -> bool:
    """Whether it is a reader's "No", which rests on what was searched in vain."""
    return finding.origin == "reader" and finding.passage is None and not finding.inputs


def misplaced(finding: Finding, evidence: Evidence) -> bool:
    """Whether a finding has a supporting span that is empty or leaves its passage."""
    if finding.passage is None or finding.quote_start is None or finding.quote_end is None:
        return False
    if not 0 <= finding.passage < len(evidence.passages):
        return True
    passage = evidence.passages[finding.passage]
    return not passage.start <= finding.quote_start < finding.quote_end <= passage.end


def citation(passage: Passage, start: int, end: int, score: float) -> Citation:
    """A citation of `[start, end)` in the passage's document, without surrounding white space."""
    quote = passage.text[start - passage.start : end - passage.start]
    start += len(quote) - len(quote.lstrip())
    quote = quote.strip()
    return Citation(
        document=passage.document,
        title=passage.title,
        location=passage.location,
        start=start,
        end=start + len(quote),
        quote=quote,
        score=score,
    )


def quoted(step: AnswerStep, question: str, evidence: Evidence) -> tuple[str, list[Citation], list[str]]:
    """An answer with verbatim quotes; each number must stand in one, in a result or in the question."""
    citations, problems = [], []
    for quote in step.quotes:
        passage = evidence.passages[quote.passage - 1] if 1 <= quote.passage <= len(evidence.passages) else None
        words = quote.quote.strip()
        at = -1 if passage is None or not words else passage.text.find(words)
        if passage is None or at < 0:
            problems.append(f"a quote is not in passage {quote.passage}")
            continue
        start = passage.start + at
        citations.append(citation(passage, start, start + len(words), passage.score))
    sources = [c.quote for c in citations] + [f.text for f in evidence.findings] + [question]
    problems += [f"the number {n} stands in no quote and no result" for n in unsupported_numbers(step.text, sources)]
    return step.text.strip(), list(dict.fromkeys(citations)), problems


def unsupported_numbers(text: str, sources: Sequence[str]) -> list[str]:
    """Numbers of a text that none of the sources holds, compared without separators."""
    known = {plain(n) for source in sources for n in NUMBER.findall(source)}
    return [n for n in NUMBER.findall(text) if plain(n) not in known]


def plain(number: str) -> str:
    """A number without thousands separators and trailing zeros."""
    bare = number.replace(",", "").rstrip(".")
    return bare.rstrip("0").rstrip(".") if "." in bare else bare


def absence(evidence: Evidence) -> tuple[Citation, ...]:
    """What was searched in vain: up to three documents, by their best passage."""
    best: dict[str, Passage] = {}
    for passage in evidence.passages:
        best.setdefault(passage.document, passage)
    return tuple(
        Citation(
            kind="absence",
            document=p.document,
            title=p.title,
            location=p.location,
            start=p.start,
            end=p.start,
            quote="",
            score=p.score,
        )
        for p in list(best.values())[:3]
    )
