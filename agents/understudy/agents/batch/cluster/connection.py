"""A process's connection to a Ray cluster: one that is there, or one of its own on this machine.

Ray's usage statistics are off, there is no dashboard, and a cluster of one's own listens on loopback alone, takes
nobody without its token, and keeps its files in a folder that goes with it.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from understudy.core.errors import MissingExtraError, UnderstudyError, UserError

__all__ = ["connected", "own_environment"]

QUIET: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # or what still runs when a job is stopped would start a cluster of its own
}
OWN: Mapping[str, str] = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's name for: listen on loopback
}
GIVEN: Mapping[str, str | None] = {name: os.environ.get(name) for name in OWN}
"""For a cluster that is there, what the user has set."""
PASSED = (
    "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME",
    "PATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME",
)  # fmt: skip
"""Of the environment, what workers on this machine inherit: no key is called by such a name."""
OBJECT_STORE_BYTES = 256 << 20
"""Drafts on their way; each is some ten thousand bytes."""
STARTED_S = 120.0
REACHED_S = 10.0
ONE = threading.Lock()
"""A process is connected to one cluster at a time."""


@contextmanager
def connected(address: str | None, cpus: int, passed: Sequence[str] = ()) -> Iterator[Path | None]:
    """Be connected; gives the folder of a cluster of one's own.

    Args:
        address: of a cluster that is there; `None` starts one on this machine.
        cpus: of one that is started.
        passed: more variables of the environment that its workers inherit.

    Raises:
        MissingExtraError: Ray isn't installed.
        UserError: the cluster can't be reached, or the process is connected already.
    """
    ray = library()
    if not ONE.acquire(blocking=False):
        raise UserError("another job of this process is run on a cluster; wait for it, or use --engine local")
    try:
        if address is not None:
            reach(address)
            with joined(ray, address, GIVEN):
                yield None
        else:
            with headed(cpus, passed) as (own, folder), joined(ray, own, OWN):
                yield folder
    finally:
        ONE.release()


def library() -> Any:
    """Ray, told to be quiet before it is imported. Raises `MissingExtraError`."""
    os.environ.update(QUIET)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def reach(address: str) -> None:
    """Raise `UserError` unless something listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), REACHED_S).close()
    except OSError as error:
        raise unreached(address, error.strerror or str(error)) from error


@contextmanager
def joined(ray: Any, address: str, variables: Mapping[str, str | None]) -> Iterator[None]:
    """Connected to a cluster that is there. Raises `UserError`.

    Args:
        ray: the library.
        address: of the cluster.
        variables: of the environment, which Ray reads when it is imported: that may be long since, for another cluster.
    """
    for name, value in variables.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = variables is not OWN
    ray._private.worker.print_to_stdstream = unheard
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError, OSError) as error:
        raise unreached(address, (str(error) or type(error).__name__).splitlines()[0]) from error
    try:
        yield
    finally:
        ray.shutdown()


def unheard(*_said: object, **_how: object) -> None:
    """What Ray would print of a worker that died: standard output is the command's, and the work is done anew."""


def unreached(address: str, why: str) -> UserError:
    """There is no such cluster."""
    return UserError(f"the Ray cluster at {address} can't be reached ({why}); see [cluster] in understudy.toml")


def own_environment(passed: Sequence[str]) -> dict[str, str]:
    """What a cluster on this machine inherits."""
    kept = {name: os.environ[name] for name in (*PASSED, *passed) if name in os.environ}
    return {**kept, **QUIET, **OWN, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@contextmanager
def headed(cpus: int, passed: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """A cluster on this machine; gives its address and its folder. Raises `UserError`."""
    place = tempfile.gettempdir()
    # Paths of sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="understudy-ray-", dir=place if len(place) < 20 else "/tmp"))
    program = Path(__file__).with_name("head.py")
    process = subprocess.Popen(
        [sys.executable, "-P", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=own_environment(passed), text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        asked = {"cpus": cpus, "folder": str(folder), "object_store_bytes": OBJECT_STORE_BYTES}
        process.stdin.write(f"{json.dumps(asked)}\n")
        process.stdin.flush()
        yield address_of(process), folder
    finally:
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(REACHED_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def address_of(process: subprocess.Popen[str]) -> str:
    """What a cluster that is being started says. Raises `UserError`: it doesn't."""
    assert process.stdout is not None
    late = threading.Timer(STARTED_S, process.kill)
    late.start()
    try:
        return str(json.loads(process.stdout.readline())["address"])
    except ValueError as error:
        failed: UnderstudyError = UserError("Ray could not be started on this machine; try: ray start --head")
        raise failed from error
    finally:
        late.cancel()
