"""One process of a run, which does what `Session` does."""

from __future__ import annotations

import asyncio
from typing import cast

from dockersched import EpicControl, ParallelTaskScheduler, TaskExecutionError, TaskState
from dockersched.events import Event, TaskFinished, TaskStarted
from dockersched.results import EpicResult, TaskResult
from dockersched.sandbox.asked import sandbox_options
from dockersched.sandbox.docker.runner import DockerRunner
from dockersched.session.earlier import end_cancelled_attempts, end_early_finals
from dockersched.store.journal import Journal, JournaledRunner
from tests.support.lives import promises
from tests.support.lives.containers import Containers
from tests.support.lives.lifetime import Lifetime
from tests.support.lives.random_epics import EPIC_ID, RUN_ID
from tests.support.lives.records import Records
from tests.support.lives.world import ENDED, World


class Process:
    """Runs the epic of a world, or goes on with it; meanwhile somebody may cancel tasks or all of it.

    Args:
        world: where it is.
        lifetime: how long it lives.
    """

    def __init__(self, world: World, lifetime: Lifetime) -> None:
        self._world = world
        self._lifetime = lifetime
        world.chance.shuffle(world.named)  # requests are files, without an order
        self._requests = [list(names) for names in world.named]
        named = frozenset(task_id for names in self._requests for task_id in names)
        has_limit = world.epic.options.timeout_s is not None
        self._sight = promises.Sight(frozenset(world.rows), named, stops=has_limit, ended=set())
        self._control = EpicControl()

    async def live(self) -> EpicResult:
        """The result of the run, if it lives to its end."""
        world, epic = self._world, self._world.epic
        world.say(f"--- a process begins; cancelled by name: {self._requests}")
        journal = Journal(Records(world, self._lifetime), RUN_ID)
        containers = Containers(world, self._sight, journal, self._lifetime)
        await self._mend(containers, journal)
        for names in self._requests:
            self._control.cancel(names)
        self._let_requests_come()
        scheduler = ParallelTaskScheduler(JournaledRunner(containers, journal), observers=[self._observe])
        try:
            return await scheduler.execute_epic(epic.dag, epic.options, control=self._control)
        except TaskExecutionError as ended:
            return ended.result

    async def _mend(self, containers: Containers, journal: Journal) -> None:
        """Ends what an earlier process left and nobody needs."""
        runner = cast("DockerRunner", containers)  # of which only `remove` is used
        sandboxes = [sandbox_options(task, EPIC_ID, RUN_ID) for task in self._world.epic.dag]
        await end_cancelled_attempts(runner, journal, sandboxes, self._requests)
        await end_early_finals(runner, journal, self._world.epic, sandboxes, self._requests)

    def _let_requests_come(self) -> None:
        chance, loop = self._world.chance, asyncio.get_running_loop()
        tasks = [task.id for task in self._world.epic.dag]
        for _ in range(chance.choice([0, 0, 1, 2])):
            is_whole = chance.random() < 0.25
            names = None if is_whole else chance.sample(tasks, chance.randint(1, 2))
            loop.call_later(chance.choice([0, 0.003, 0.02, 0.1]), self._ask, names)

    def _ask(self, names: list[str] | None) -> None:
        """Somebody asks for a cancellation; the process sees it some time later."""
        if self._lifetime.is_over:
            return
        self._world.say(f"somebody cancels {names or 'the run'}")
        if names is not None:
            self._world.named.append(names)
        if names is None or any(not self._world.epic.dag[task_id].finally_ for task_id in names):
            self._sight.stops = True
        delay_s = self._world.chance.choice([0, 0.002, 0.02])
        asyncio.get_running_loop().call_later(delay_s, self._control.cancel, names)

    def _observe(self, event: Event) -> None:
        if self._lifetime.is_dead:
            return
        if isinstance(event, TaskStarted):
            promises.of_a_start(self._world, self._sight, event.task_id)
        if isinstance(event, TaskFinished):
            self._tell(event.result)

    def _tell(self, result: TaskResult) -> None:
        world = self._world
        world.say(f"told: {result.task_id} is {result.state}, {result.reason or 'no reason'}")
        self._sight.ended.add(result.task_id)
        if result.state in ENDED and result.attempts:
            world.told[result.task_id] = result.state
        task = world.epic.dag[result.task_id]
        has_failed = result.state is TaskState.FAILED and not (task.allow_failure or task.finally_)
        if has_failed and world.epic.options.fail_fast and world.failed_at_s is None:
            world.failed_at_s = world.now_s
