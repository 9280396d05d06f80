"""The small model: decides the next step of a transcript under a grammar, reusing everything it has read."""

from __future__ import annotations

import codecs
import copy
import hashlib
import json
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from langchain_core.tools import BaseTool

from understudy.agents.adapters import Adapter, checked, load_adapter, measure
from understudy.agents.decoding import WRAP_UP, Generated, Token
from understudy.agents.engine import Engine
from understudy.agents.grammar import step_grammar
from understudy.agents.profiles import PROFILES, QUOTING, Profile, Quoting
from understudy.agents.template import split_template
from understudy.agents.together import Together
from understudy.core.adapters import Probe
from understudy.core.errors import InternalError, ModelFileError
from understudy.core.machine import cores
from understudy.core.protocols import Cancel
from understudy.core.settings import SmallModelSettings
from understudy.core.steps import AnswerStep, Consult, Decline, Point, Step, Taken, ToolStep
from understudy.core.types import Evidence, Message, Observation

__all__ = ["SmallModel", "starter_path"]

CONTENT = re.compile(
    r'"(?:quote|text|query|row|column|label|by|expression)":"((?:[^"\\]|\\.)*)"|"kind":"(answer)","findings":\[([\d,]*)\]'
)
"""What a step says (quotes, text, queries), without braces and keys. Of an answer that only points, the choice to
answer counts as well: most of its doubt lies there."""
QUOTED = re.compile(r'"quote":"((?:[^"\\]|\\.)*)"')
REMEMBERED_STEPS = 512
Generate = Callable[..., Generated]
"""What computes a step, see `Engine.generate`."""


def starter_path() -> Path:
    """The GGUF that ships with the project."""
    return Path(__file__).parent / "starter.gguf"


class SmallModel:
    """Any GGUF chat model, as a `Planner`.

    Args:
        path: the GGUF.
        tools: on offer at every step but the final one; or what says which are on offer now.
        settings: context size in tokens, threads, token limit of a step.
        profile: overrides the GGUF's own `understudy.profile`.
    """

    def __init__(
        self,
        path: Path,
        tools: Sequence[BaseTool] | Callable[[], Sequence[BaseTool]] = (),
        settings: SmallModelSettings | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.settings = settings or SmallModelSettings()
        given = self.settings
        self.engine = Engine(path, context=given.context, threads=given.threads, kept_mib=given.kept_mib)
        template = self.engine.metadata.get("tokenizer.chat_template")
        if not template:
            raise ModelFileError(f"{path} has no chat template; use a chat ('instruct') model")
        self.pieces = split_template(
            template, bos=self.engine.special_text("bos"), eos=self.engine.special_text("eos"), where=str(path)
        )
        self.profile = profile or PROFILES.get(self.engine.metadata.get("understudy.profile", ""), QUOTING)
        self._offered = tools
        self.adapter: Adapter | None = None
        self.probe: Probe | None = None
        self._steps: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = threading.Lock()
        self._remembering = threading.Lock()
        self._generate: Generate | None = None
        self._many: Together | None = None

    @property
    def tools(self) -> tuple[BaseTool, ...]:
        """All that are on offer now."""
        return tuple(self._offered() if callable(self._offered) else self._offered)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, which is read once for it."""
        with self.engine.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def name(self) -> str:
        """The model's name and the head of its content hash, for provenance; then the adapter's, if it wears one."""
        base = f"{self.engine.metadata.get('general.name', self.engine.path.stem)}@{self.digest[:12]}"
        return base if self.adapter is None else f"{base}+{self.adapter.name}@{self.adapter.digest[:12]}"

    def wearing(self, adapter: Path | None, recorded: Probe | None = None) -> SmallModel:
        """The model under an adapter (with `None`, bare): another planner on the same weights, behind the same lock.

        Whoever holds the planner from before goes on with it, so a swap never touches a question in progress. Every
        change from one to the other costs the KV cache. The new planner's `probe` is what an adapter's card records.

        Args:
            adapter: its GGUF.
            recorded: how a probe went when the adapter was accepted.

        Raises:
            AdapterError: it can't be loaded, is of another model, changes nothing, or differs from what was recorded.
        """
        digest = self.digest
        view = self._view()
        view.adapter = view.probe = None
        if adapter is not None:
            with self._lock:
                view.adapter = load_adapter(self.engine, adapter, digest, recorded)
                view.probe = checked(measure(self.engine, view.adapter, digest, recorded), recorded, adapter)
        return view

    @contextmanager
    def together(self, sequences: int) -> Iterator[SmallModel]:
        """The model for several questions at once: their steps are computed in one batch, on the same weights.

        What it reads for them is kept apart from the model's own. The planner must not be used afterwards.

        Args:
            sequences: steps that are computed at once, at the most.

        Raises `ModelFileError` where there is no memory for it.
        """
        threads = self.settings.threads or (cores() if self.profile.writes else 1)
        apart = not self.profile.writes
        many = Together(self.engine, sequences=sequences, threads=threads, adapter=self.adapter, apart=apart)
        view = self._view()
        view._generate, view._many = many.generate, many
        try:
            yield view
        finally:
            many.close()

    def _view(self) -> SmallModel:
        view = copy.copy(self)
        view._steps = OrderedDict()  # the same text may be other tokens under another adapter
        view._generate = view._many = None
        return view

    def _alone(
        self,
        prompt: list[int],
        grammar: str,
        *,
        limit: int,
        on_bytes: Callable[[bytes], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Generated:
        with self._lock:
            self.engine.wear(self.adapter)
            return self.engine.generate(prompt, grammar, limit=limit, on_bytes=on_bytes, cancel=cancel)

    def close(self) -> None:
        """Free the model and all that it wears, once a step in progress has ended."""
        with self._lock:
            self.engine.close()

    def forget(self) -> None:
        """Drop what has been read and said so far."""
        with self._lock:
            with self._remembering:
                self._steps.clear()
            self.engine.forget()
        if self._many is not None:
            self._many.forget()

    def open(self, question: str, history: Sequence[tuple[str, str]]) -> list[Message]:
        """The transcript's first messages."""
        return self.profile.open(question, history, self._offer())

    def open_with(self, question: str, evidence: Evidence) -> list[Message] | None:
        """The first messages of a question whose passages are read for others too, which the prompts begin with alike.

        `None` where that can't be: the model is shown no passages, or they and a step don't fit its context.
        """
        if not isinstance(self.profile, Quoting):
            return None
        messages = self.profile.open_with(question, evidence, self._offer())
        room = self.engine.context - self.settings.max_step_tokens - WRAP_UP
        return messages if len(self.render(messages)) <= room else None

    def _offer(self) -> str:
        return "\n".join(f"- {t.name}({', '.join(t.args)}): {t.description}" for t in self.tools)

    def observe(self, question: str, before: Evidence, observation: Observation) -> Message:
        """The message that shows a tool's result."""
        return self.profile.observe(question, before, observation)

    def next_step(
        self,
        transcript: Sequence[Message],
        evidence: Evidence,
        *,
        final: bool = False,
        on_text: Callable[[str], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Taken:
        """One step under the grammar. Raises `QuestionError` when the transcript exceeds the context, and `Stopped`."""
        thread = thread_words(transcript)
        grammar = step_grammar(self.profile, self.tools, evidence, thread, final=final)
        stream = Utf8Stream(on_text) if on_text is not None else None
        generate = self._generate or self._alone
        generated = generate(
            self.render(transcript), grammar, limit=self.settings.max_step_tokens, on_bytes=stream, cancel=cancel
        )
        text = b"".join(self.engine.piece(t.id) for t in generated.tokens).decode("utf-8")
        self.remember(text, [t.id for t in generated.tokens])
        content = self.tokens_of(CONTENT, text, generated.tokens)
        quoted = self.tokens_of(QUOTED, text, generated.tokens)
        step = parse_step(text, spaced=not self.profile.writes)
        if final or not isinstance(step, ToolStep):
            generated.over()
        return taken(step, text, generated, content, quoted)

    def render(self, transcript: Sequence[Message]) -> list[int]:
        """Token ids of a transcript up to the next step: control tokens only from the template's pieces."""
        messages = list(transcript)
        pieces, ids = self.pieces, []
        head, system_end = pieces.head, ""
        if messages[0].role == "system":
            if pieces.system is None:
                first = Message(role="user", content=f"{messages[0].content}\n\n{messages[1].content}")
                messages[:2] = [first]
            else:
                head, system_end = pieces.system
        bos = self.engine.special_text("bos")
        if self.engine.adds_bos and not head.startswith(bos):
            head = bos + head
        ids += self.engine.tokenize(head, control=True)
        for at, message in enumerate(messages):
            if message.role == "assistant":
                ids += self._steps.get(message.content) or self.engine.tokenize(message.content, control=False)
                after = pieces.step_end
            else:
                ids += self.engine.tokenize(message.content, control=False)
                after = pieces.user_end if message.role == "user" else system_end
            if at + 1 < len(messages) or message.role == "user":
                ids += self.engine.tokenize(after, control=True)
        return ids

    def remember(self, text: str, ids: list[int]) -> None:
        """Keep the ids a step was generated with: its text might tokenise otherwise, and the KV cache would miss."""
        with self._remembering:
            self._steps[text] = ids
            self._steps.move_to_end(text)
            while len(self._steps) > REMEMBERED_STEPS:
                self._steps.popitem(last=False)

    def tokens_of(self, wanted: re.Pattern[str], text: str, tokens: Sequence[Token]) -> list[Token]:
        """The tokens of some parts of a step: those in the groups of a pattern."""
        spans = []
        for match in wanted.finditer(text):
            for start, end in (match.span(n) for n in range(1, wanted.groups + 1) if match.group(n) is not None):
                spans.append((len(text[:start].encode()), len(text[:end].encode())))
        kept, at = [], 0
        for token in tokens:
            end = at + len(self.engine.piece(token.id))
            if any(at < stop and end > start for start, stop in spans):
                kept.append(token)
            at = end
        if at != len(text.encode()):
            raise InternalError("the tokens of a step don't add up to its text")
        return kept


class Utf8Stream:
    """Passes bytes on as text, holding back characters that aren't complete."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._emit = emit

    def __call__(self, data: bytes) -> None:
        """Take some bytes."""
        text = self._decoder.decode(data)
        if text:
            self._emit(text)


def thread_words(transcript: Sequence[Message]) -> list[str]:
    """What the user wrote: the lines of the first user message, without their labels."""
    first = next(m for m in transcript if m.role == "user")
    return [line.partition(": ")[2] or line for line in first.content.split("\n")]


def parse_step(text: str, *, spaced: bool = False) -> Step:
    """The step that a string of the grammar stands for; `spaced` when it has words of the thread behind a space."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise InternalError(f"a step was cut off before its end: {text[:80]!r}") from error
    match data.get("kind"):
        case "answer":
            return AnswerStep(**data) if "quotes" in data else Point(**data)
        case "consult":
            return Consult(**data)
        case "decline":
            return Decline(**data)
        case kind:
            arguments = {k: v for k, v in data.items() if k != "kind"}
            if spaced:
                arguments = {k: v.removeprefix(" ") if isinstance(v, str) else v for k, v in arguments.items()}
            return ToolStep(kind=kind, arguments=arguments)


def taken(step: Step, text: str, generated: Generated, content: Sequence[Token], quoted: Sequence[Token]) -> Taken:
    """A step with its signals."""
    said = content or [t for t in generated.tokens if not t.forced]
    mean, least = logprobs_of(said) or (0.0, 0.0)
    removed = generated.removed
    return Taken(
        step=step,
        text=text,
        tokens=generated.counts,
        seconds=generated.seconds,
        mean_logprob=mean,
        min_logprob=least,
        quote_logprobs=logprobs_of(quoted),
        removed_mass=math.fsum(removed) / len(removed) if removed else 0.0,
        choice_entropy=generated.entropy,
    )


def logprobs_of(tokens: Sequence[Token]) -> tuple[float, float] | None:
    """Mean and least log-probability."""
    found = [t.logprob for t in tokens]
    return (math.fsum(found) / len(found), min(found)) if found else None
