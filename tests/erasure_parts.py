"""A workspace in which one document has left traces everywhere, and a search for them in every byte.

As a program, `python erasure_parts.py FOLDER`, it goes through `DEATHS`: for each, one process that dies while it erases
the document in a copy of FOLDER/workspace, and one that opens the copy after it. They are forked from here, so that
libraries are loaded once.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from card_parts import making

from understudy.agents import Agent
from understudy.agents.erasure import erasure as erasing
from understudy.core.errors import Stopped
from understudy.core.settings import BriefingSettings, DeferralSettings, ExpertSettings, Settings
from understudy.core.types import Scope
from understudy.retrieval.store import DocumentStore
from understudy.tools.toolbox import LocalToolBox

SECRET = "qyzzorvel-lease.md"
MARKS = ("qyzzorvel", "wombrastic", "flendimor", "thrixpound", "gravloomish", "oldenquarf", "jelzibane")
"""Words that stand nowhere but in the document, its title, its name, its earlier version, and what was asked of it."""
OLD = "# Wombrastic tenancy\n\nThe oldenquarf cellar is let to nobody.\n"
TEXT = """# Wombrastic tenancy

The flendimor tower is let to Mr Thrixpound for 4,711 guilders a month.

## Pets

A gravloomish parrot may be kept in the flendimor tower.
"""
HARBOUR = "# Harbour\n\nThe harbour master lives at 9 Quay Street.\n\nThe night ferry leaves the harbour at 22:40.\n"
GARDEN = "# Garden\n\nRoses are watered on Mondays. The garden tower is closed in winter.\n"
FERRY = ("When does the night ferry leave?", "22:40", "harbour.md", "leaves the harbour at 22:40")
MASTER = ("Where does the harbour master live?", "9 Quay Street", "harbour.md", "lives at 9 Quay Street")
ROSES = ("When are the roses watered?", "On Mondays", "garden.md", "Roses are watered on Mondays")
RENT = ("What does the flendimor tower cost?", "4,711 guilders", SECRET, "let to Mr Thrixpound for 4,711 guilders")
PET = ("Which parrot may be kept?", "A gravloomish one", SECRET, "A gravloomish parrot may be kept")
SAID = (FERRY, MASTER, ROSES, RENT, PET)
DOCUMENT = Scope(collection="default", document=SECRET)


def settings(room: Path, **changes: Any) -> Settings:
    """Everything goes to a recorded expert, which is shown earlier answers."""
    expert = ExpertSettings(name="oracle", model=f"recorded:{room / 'oracle.jsonl'}", input_usd_per_mtok=1.0)
    given: dict[str, Any] = {
        "experts": (expert,),
        "deferral": DeferralSettings(min_confidence=1.0),
        "briefing": BriefingSettings(demonstrations=4),
    }
    return Settings(**(given | changes))


def prepare(room: Path) -> None:
    """Documents, and what the expert knows of them."""
    (room / "documents").mkdir()
    for name, text in ((SECRET, OLD), ("harbour.md", HARBOUR), ("garden.md", GARDEN)):
        (room / "documents" / name).write_text(text)
    lines = [
        {"question": q, "text": text, "citations": [{"document": document, "quote": quote}]}
        for q, text, document, quote in SAID
    ]
    (room / "oracle.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def build(room: Path) -> Path:
    """The workspace: what is asked of the harbour first rests on nothing else, all later answers on the secret too."""
    prepare(room)
    workspace = room / "workspace"
    with Agent.open(workspace, settings=settings(room)) as agent:
        agent.ingest([room / "documents"])
        (room / "documents" / SECRET).write_text(TEXT)
        agent.ingest([room / "documents"])
        for asked in (FERRY, MASTER):
            agent.ask(asked[0], document="harbour.md")
        talk = agent.ask(RENT[0])
        assert talk.route == "expert"
        agent.ask(ROSES[0], document="garden.md", thread=talk.thread)
        assert agent.ask(RENT[0]).route == "cache"
        assert agent.ask(PET[0], document=SECRET).route == "expert"
        assert agent.ask(ROSES[0], document="garden.md").route == "expert"
        assert agent.ask(FERRY[0], document="harbour.md").route == "cache"
        stopped(agent)
        adapters(agent)
        leftovers(agent)
    with Agent.open(workspace, settings=settings(room), principal="ann") as agent:
        agent.ask(PET[0])
    return workspace


def stopped(agent: Agent) -> None:
    """A question that ends when it has searched."""
    searched: list[object] = []
    run = LocalToolBox.run

    def noted(tools: LocalToolBox, *arguments: Any) -> Any:
        searched.append(arguments)
        return run(tools, *arguments)

    with patch.object(LocalToolBox, "run", noted), suppress(Stopped):
        agent.ask(f"{PET[0]} Tell the jelzibane.", cancel=lambda: bool(searched))


def adapters(agent: Agent) -> None:
    """Four: of the harbour, of both and live, of nobody knows what, and one turned down."""
    harbour, base = Scope(collection="default", document="harbour.md"), agent.model.name
    common: dict[str, Any] = {"domain": "default", "label": "default", "base": base}
    traces: tuple[Any, ...] = ((harbour,), (DOCUMENT, harbour), (DOCUMENT,))
    for number, rests_on in enumerate(traces):
        weights = agent.workspace.root / "weights.bin"
        weights.write_bytes(f"{number} flendimor".encode() if DOCUMENT in rests_on else b"harbour")
        documents = tuple(s.document for s in rests_on)
        make = making(f"r{number}", rests_on=rests_on, documents=documents, **common)
        card = agent.registry.add({"weights.bin": weights}, make)
        if number < 2:
            agent.registry.promote(card)
        weights.unlink()
    agent.cast.swap("default", "default")


def leftovers(agent: Agent) -> None:
    """What killed processes leave: a refinement in progress, an adapter half added, a file half written."""
    run = agent.learning.refinery.folder("default", "default")
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"run": "abc"}')
    (run / "rows").write_text(TEXT)
    partial = agent.workspace.adapters / "default" / "default" / ".v9.77"
    partial.mkdir(parents=True)
    (partial / "weights.bin").write_text(TEXT)
    (agent.workspace.root / ".deferral.json.77.tmp").write_text(TEXT)


def found_in(root: Path, marks: tuple[str, ...] = (*MARKS, SECRET)) -> dict[str, list[str]]:
    """The files that hold a mark, in any encoding that something might keep it in, with the marks."""
    hits: dict[str, list[str]] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        looked = [name.encode(), path.read_bytes()]
        looked += list(inflated(looked[1]))
        held = [m for m in marks if any(form in data.lower() for data in looked for form in forms(m))]
        held += [m for m in marks if any(form in data for data in looked for form in encoded(m))]
        if held:
            hits[name] = sorted(set(held))
    return hits


def forms(mark: str) -> list[bytes]:
    """A mark in plain encodings, folded."""
    return [mark.lower().encode(form) for form in ("utf-8", "utf-16-le", "utf-16-be")]


def encoded(mark: str) -> Iterator[bytes]:
    """A mark in base64, at each of the three offsets, without the characters that its neighbours decide."""
    for word in {mark, mark.lower(), mark.capitalize(), mark.upper()}:
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + word.encode())
            yield whole[4 if shift else 0 : -4]


def inflated(data: bytes) -> Iterator[bytes]:
    """What every zlib or gzip stream in some bytes holds."""
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", data):
        try:
            yield zlib.decompressobj(wbits=47).decompress(data[match.start() :], 1 << 22)
        except zlib.error:
            continue


Step = tuple[Any, str]
"""An object, and the name of a method or function of it."""


def steps(agent: Agent) -> dict[str, Step]:
    """Everything that an erasure does, by name."""
    holdings = {f"{n} {h.kind}": (h, "forget") for n, h in enumerate(agent.erasure.holdings)}
    return {
        "journal": (erasing, "write_atomically"),
        **holdings,
        "unnamed": (agent.erasure.holdings[4], "_unnamed"),
        "withdrawn": (agent.registry, "withdraw"),
        "pointed": (agent.registry, "_point"),
        "removed": (agent.store, "remove"),
        "vectors": (DocumentStore, "_add_vectors"),
        "cleaned": (agent.deferral, "derive"),
        "scrubbed": (erasing, "scrub"),
        "mark": (agent.audit, "append"),
    }


DEATHS = [
    *(f"{when} {n} {kind}" for n, kind in enumerate(
        ("adapters", "outcomes", "outcomes", "examples", "threads", "job_answers", "cache_entries", "placeholders",
         "passages")
    ) for when in ("before", "after")),
    *(f"{when} {name}" for name in ("unnamed", "withdrawn", "pointed", "vectors", "cleaned", "scrubbed")
      for when in ("before", "after")),
    "after journal", "after removed", "after mark",
]  # fmt: skip


def doom(agent: Agent, death: str) -> None:
    """Let this process be killed with signal 9 at a step."""
    when, _, name = death.partition(" ")
    owner, attribute = steps(agent)[name]
    doomed = dying(getattr(owner, attribute), when)
    object.__setattr__(owner, attribute, doomed) if not isinstance(owner, type | ModuleType) else setattr(
        owner, attribute, doomed
    )


def dying(do: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The same, and then death."""

    def done(*arguments: Any, **named: Any) -> None:
        if when == "after":
            do(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return done


def forked(work: Callable[[], None]) -> int:
    """One process; gives its exit code, or the signal that ended it as a negative number."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(room: Path, workspace: Path, death: str) -> None:
    """Erase, and die."""
    with Agent.open(workspace, settings=settings(room)) as agent:
        doom(agent, death)
        agent.erase(SECRET)


def reopened(room: Path, workspace: Path) -> None:
    """Open, and note what is answered, and what is left."""
    with Agent.open(workspace, settings=settings(room)) as agent:
        answers = [agent.ask(asked[0], document="harbour.md") for asked in (FERRY, MASTER)]
        held = {
            "answers": [(a.route, a.text) for a in answers],
            "live": agent.registry.history("default", "default"),
            "documents": [i for i, _, _ in agent.store.entries("default")],
            "journal": agent.erasure.journal.exists(),
        }
    held["traces"] = found_in(workspace)
    (workspace.parent / f"{workspace.name}.json").write_text(json.dumps(held))


if __name__ == "__main__":
    room = Path(sys.argv[1])
    deaths = sys.argv[2:] or DEATHS
    for death in deaths:
        copy = room / death.replace(" ", "-")
        shutil.copytree(room / "workspace", copy)
        codes = [forked(lambda c=copy, d=death: killed(room, c, d)), forked(lambda c=copy: reopened(room, c))]  # type: ignore[misc]
        (room / f"{copy.name}.codes").write_text(json.dumps(codes))
        shutil.rmtree(copy)
