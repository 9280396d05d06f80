"""The workers of a job, by Ray Data: questions of one document go together, and drafts come back in any order."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import groupby
from typing import Any

from understudy.agents.batch.cluster.part import Asked, Drafted, Part
from understudy.agents.batch.cluster.worker import Worker
from understudy.core.errors import InternalError, Stopped, UnderstudyError, UserError
from understudy.core.protocols import Cancel

__all__ = ["drafts_of", "grouped"]

TOGETHER = 8
"""Questions of a document that go to a worker at once; what a worker that is killed had done of them is done anew."""
BLOCK_BYTES = 1 << 14
"""A draft goes on as soon as it is there."""
ASKED_S = 0.5
"""How often it is looked whether the job was stopped."""
HELD = 16
"""Drafts that have come and wait for the driver."""


def grouped(asked: Sequence[Asked], together: int | None = TOGETHER) -> list[list[Asked]]:
    """Questions that stand one after another and are of one document: so many at a time, or all of it.

    Args:
        asked: those of a document after each other.
        together: at most; `None` where they share what is read of the document.
    """
    groups: list[list[Asked]] = []
    for document, some in groupby(asked, key=lambda one: one.document):
        rows = list(some)
        size = TOGETHER if document is None else together or len(rows)
        groups += [rows[at : at + size] for at in range(0, len(rows), size)]
    return [group for group in groups if any(one.wanted for one in group)]


async def drafts_of(asked: Sequence[Asked], part: Part, workers: int, stopped: Cancel) -> AsyncGenerator[Drafted, None]:
    """Drafts as they come, each once. The process is connected to a cluster.

    Args:
        asked: in the order in which they are begun.
        part: what the workers are told.
        workers: processes.
        stopped: asked while none comes.

    Raises:
        UserError: a worker can't work, or there is no room for so many.
        Stopped: `stopped` said so.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[Drafted | BaseException | None](HELD)

    over = threading.Event()

    def send(what: Drafted | BaseException | None) -> None:
        if not over.is_set():
            asyncio.run_coroutine_threadsafe(queue.put(what), loop).result()

    dataset = dataset_of(asked, part, workers)
    threading.Thread(target=pump, args=(dataset, send), daemon=True, name="drafts").start()
    left = {one.number for one in asked if one.wanted}
    try:
        while left:
            try:
                came = await asyncio.wait_for(queue.get(), ASKED_S)
            except TimeoutError:
                if await asyncio.to_thread(stopped):
                    raise Stopped("the job was stopped; what is answered is kept") from None
                continue
            match came:
                case None:
                    raise InternalError(f"the cluster gave no draft of {len(left)} questions")
                case BaseException():
                    raise mapped(came)
                case Drafted() if not came.fit:
                    raise UserError(came.message)
                case Drafted() if came.number in left:  # a worker that was killed may have sent it already
                    left.discard(came.number)
                    yield came
    finally:
        over.set()
        while not queue.empty():  # the thread may be holding one out
            queue.get_nowait()
        await asyncio.to_thread(ended, dataset)


def pump(dataset: Any, send: Callable[[Drafted | BaseException | None], None]) -> None:
    """Pass drafts on from a thread; what goes wrong there too."""
    try:
        for block in dataset.iter_batches(batch_size=None, prefetch_batches=0):
            for line in block["drafted"]:
                send(Drafted.model_validate_json(line))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - Ray's, of any kind: raised where drafts are waited for
        send(error)
    else:
        send(None)


def dataset_of(asked: Sequence[Asked], part: Part, workers: int) -> Any:
    """Drafts as Ray Data will make them."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    rows = [
        {"asked": json.dumps([one.model_dump() for one in group])}
        for group in grouped(asked, None if part.shares else TOGETHER)
    ]
    return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        fn_constructor_args=(part.model_dump_json(),),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
        num_cpus=part.settings.threads,
    )


def ended(dataset: Any) -> None:
    """Stop the work on drafts that nobody waits for any more; what has hardly begun ends with the connection."""
    executor = getattr(dataset, "_current_executor", None)
    if executor is not None:
        executor.shutdown(force=True)


def mapped(error: BaseException) -> UnderstudyError:
    """What Ray raised, in one line."""
    if isinstance(error, UnderstudyError):
        return error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return UserError(f"the cluster failed: {lines[-1] if lines else type(error).__name__}")


def room(workers: int, threads: int) -> None:
    """Raise `UserError` where a cluster has not so many cores: Ray would wait for them."""
    import ray

    held: dict[str, Any] = ray.cluster_resources()
    cores = int(held.get("CPU", 0))
    if cores < workers * threads:
        raise UserError(
            f"the cluster has {cores} cores, and {workers} workers of {threads} threads need {workers * threads}; "
            "ask for fewer by --workers"
        )
