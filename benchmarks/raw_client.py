"""The floors: perfect clients, which ask the engine for nothing but the containers themselves."""

from __future__ import annotations

import secrets
import threading
import time

from benchmarks import leftovers
from benchmarks.contender import Measured
from benchmarks.engine_client import EngineAnswerError, EngineConnection
from benchmarks.graphs import IMAGE, Graph, task_id
from benchmarks.walk import Walk
from dockersched import ids
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import holder
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.holder_image import IMAGE_REPOSITORY
from dockersched.sandbox.docker.translate import LABEL_RUN, create_body

_EPIC = "bench"


class RawClient:
    """Create, start, wait, remove, and nothing else, for the same containers as dockersched's.

    There are as many threads as slots, each with a connection of its own. A task's end releases its dependents
    before its container is removed. The image must be there.

    Args:
        shared: containers join the namespaces of holders, one after another, instead of having one each. A holder is
            made for each slot that is used, and removed, as part of the run.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.name = "shared floor" if shared else "plain floor"
        with EngineConnection() as engine:
            self._image_id = str(engine.call("GET", f"/images/{IMAGE}/json")["Id"])
            architecture = str(engine.call("GET", "/info")["Architecture"])
        # dockersched has put this image there: it runs before anything is measured.
        self._holder_image = f"{IMAGE_REPOSITORY}:{holder.image_tag(architecture)}" if shared else None
        self._defaults = SandboxDefaults()

    def run(self, graph: Graph) -> Measured:
        """Runs the graph.

        Raises:
            EngineAnswerError: a container failed, or the engine refused something.
        """
        run_id = f"bench-{secrets.token_hex(4)}"
        started, cpu = time.monotonic(), time.process_time()
        walk = Walk(graph)
        namespaces = _Namespaces(run_id, self._holder_image)
        threads = [
            threading.Thread(target=self._work, args=(walk, graph, run_id, namespaces))
            for _ in range(graph.max_parallel)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt as interrupt:
            walk.fail(interrupt)
            raise
        makespan, cpu = time.monotonic() - started, time.process_time() - cpu
        with EngineConnection() as engine:
            left = leftovers.clear(engine, f"{LABEL_RUN}={run_id}")
        if walk.error is not None:
            raise walk.error
        return Measured(makespan, cpu, left)

    def _work(self, walk: Walk, graph: Graph, run_id: str, namespaces: _Namespaces) -> None:
        try:
            with EngineConnection() as engine:
                while (index := walk.next()) is not None:
                    holder_id = namespaces.take(engine)
                    container = self._create(engine, graph, run_id, index, holder_id)
                    _run_to_end(engine, container, index)
                    namespaces.give_back(holder_id)
                    walk.done(index)
                    _remove(engine, container)
                namespaces.clear(engine)
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            walk.fail(error)

    def _create(self, engine: EngineConnection, graph: Graph, run_id: str, index: int, joined: str | None) -> str:
        task, (command, *args) = task_id(index), graph.command_of(index)
        options = self._defaults.fill(
            SandboxRunOptions(ids.sandbox_id(_EPIC, task), command, args, _EPIC, run_id, task, quota=graph.quota)
        )
        mode = f"container:{joined}" if joined else None
        body = create_body(options, image_id=self._image_id, network_mode=mode)
        name = ids.container_name(_EPIC, run_id, task, options.attempt)
        return str(engine.call("POST", f"/containers/create?name={name}", body)["Id"])


def _run_to_end(engine: EngineConnection, container: str, index: int) -> None:
    engine.call("POST", f"/containers/{container}/start")
    exit_code = engine.call("POST", f"/containers/{container}/wait")["StatusCode"]
    if exit_code != 0:
        raise EngineAnswerError(f"the container of {task_id(index)} ended with {exit_code}")


def _remove(engine: EngineConnection, container: str) -> None:
    engine.call("DELETE", f"/containers/{container}?v=1&force=1")


class _Namespaces:
    """Network namespaces for the containers of one run, from all of its threads.

    Args:
        run_id: of the run.
        holder_image: a container joins one in which no other is, of a holder that is made where none is idle; None
            when each container has its own.
    """

    def __init__(self, run_id: str, holder_image: str | None) -> None:
        self._run_id = run_id
        self._holder_image = holder_image
        self._idle: list[str] = []  # appending and popping are atomic

    def take(self, engine: EngineConnection) -> str | None:
        """The holder to join, which `give_back` must follow; None for a namespace of the container's own."""
        if self._holder_image is None:
            return None
        try:
            return self._idle.pop()
        except IndexError:
            return self._make(engine, self._holder_image)

    def give_back(self, holder_id: str | None) -> None:
        """The container has ended."""
        if holder_id is not None:
            self._idle.append(holder_id)

    def clear(self, engine: EngineConnection) -> None:
        """Removes the holders that are idle; called by each thread at its end, so that it is done side by side."""
        while self._idle:
            try:
                holder_id = self._idle.pop()
            except IndexError:  # another thread has the last one
                return
            _remove(engine, holder_id)

    def _make(self, engine: EngineConnection, image: str) -> str:
        options = holder.identity(_EPIC, self._run_id, secrets.token_hex(4))
        body = holder.create_body(options, image)
        container = str(engine.call("POST", "/containers/create", body)["Id"])
        engine.call("POST", f"/containers/{container}/start")
        return container
