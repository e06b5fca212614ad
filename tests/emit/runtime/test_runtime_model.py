"""
The invalidation protocol in every order that hypothesis can think of: the real module, a simulated clock and network.

Readers, writers and the module's own background work are coroutines of the async flavour. Each stops before its command
reaches Redis and before the answer arrives; the machine chooses who goes on, which message is lost, when Redis forgets
keys or restarts, empty or with old data, and when a process dies. The scripts run in a real Redis, by simulated time.
"""

import contextlib
import sys
import types

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from cache_strategy.emit import runtime_source

ROWS = 2
PROCESSES = 2
WINDOW = 2.0
HOLD = 2.0
PROCESS, ROW = st.integers(0, PROCESSES - 1), st.integers(0, ROWS - 1)
CHANGES = {
    "local t = redis.call('TIME')\nlocal now = t[1] * 1000000 + t[2]": "local now = tonumber(redis.call('GET', 'clock'))",
    "redis.call('INFO', 'server')": "redis.call('GET', 'server-info')",
    "redis.pcall('PUBLISH', ARGV[4], ARGV[5])": "redis.call('RPUSH', 'told', ARGV[5])",
}


class Pause:
    """Where somebody else may go on; what the machine says then is the fate of the message."""

    def __await__(self):
        return (yield)


class Actor:
    def __init__(self, process, work):
        self.process, self.work = process, work

    def join(self, seconds):
        pass


class Network:
    """A connection of the simulated network. What is written arrives when an answer is awaited, or earlier."""

    def __init__(self, world):
        self.world, self.generation, self.rest, self.owed = world, world.generation, b"", 0
        self.sent, self.inbox, self.process = [], None, world.here_process
        world.networks.append(self)

    def is_usable(self):
        return True

    def write(self, data):
        if b"SUBSCRIBE" in data:
            self.inbox = [data.replace(b"SUBSCRIBE", b"subscribe")]
        elif self.inbox is not None:
            self.inbox.append(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        else:
            self.sent.append(data)

    async def receive(self, deadline):
        while True:
            fate = await Pause()
            if fate == "lost" or self.generation != self.world.generation:
                raise redis.ConnectionError("lost")
            if self.inbox:
                return self.inbox.pop(0)
            if self.inbox is None:
                break
            if self.world.now > deadline:
                raise redis.TimeoutError("silent")
        data = self.arrive()
        if await Pause() == "lost":
            raise redis.ConnectionError("lost")
        return data

    def arrive(self):
        if self.generation != self.world.generation:
            return b""
        sent, self.sent = self.sent, []
        return b"".join(self.world.execute(command) for command in sent)

    def close(self):
        self.generation = None


class World(RuleBasedStateMachine):
    url = ""
    module = types.ModuleType("simulated")

    def __init__(self):
        super().__init__()
        self.client = redis.Redis.from_url(self.url, protocol=2)
        self.wire = self.client.connection_pool.get_connection()
        self.client.flushall()
        self.now, self.generation, self.networks, self.actors, self.saved = 1e6, 0, [], [], {}
        self.client.script_flush()
        self.here, world = None, self

        class Address:
            def __init__(self, *_):
                pass

            async def connect(self):
                await Pause()
                return Network(world)

        class Signal:
            is_set = False

            def set(self):
                self.is_set = True

            async def wait(self, seconds):
                end = world.now + seconds
                while not self.is_set and world.now < end:
                    await Pause()

        async def sleep(seconds):
            await Pause()

        vars(self.module).update(
            Address=Address,
            Signal=Signal,
            sleep=sleep,
            who_asks=lambda: id(self.here),
            in_background=lambda work, name: self.act(self.here_process, work()),
            time=types.SimpleNamespace(monotonic=lambda: self.now),
        )
        self.own = {}  # what a process has announced itself
        self.rows = [[(0, 0.0)] for _ in range(ROWS)]  # what was committed, and when everybody has to see it
        self.here_process = 0
        self.caches = [self.start() for _ in range(PROCESSES)]
        self.restart({})

    def start(self):
        cache = self.module.Cache("redis://", "shop", budget_ms=1000, clock=lambda: self.now)
        for name, window in (("strict", 0), ("windowed", WINDOW)):
            cache.entry(
                name, ttl_seconds=1e5, depends_on=("rows:{row}",), window_seconds=window, wait_seconds=1
            )
        return cache

    def teardown(self):
        for process in range(PROCESSES):
            self.end(process)
        self.client.close()

    # The parts that are simulated.

    def execute(self, command):
        self.now += 5e-6  # nothing is done in no time
        self.client.set("clock", int(self.now * 1e6))
        self.wire._sock.sendall(command)
        data = b""
        while True:
            try:
                _, end = self.module._parse(data, 0)
                break
            except self.module._Incomplete:
                data += self.wire._sock.recv(65536)
        while (told := self.client.lpop("told")) is not None:
            for ear in self.networks:
                if ear.inbox is not None and ear.generation == self.generation:
                    ear.inbox.append(self.module.pack("message", "shop:changes", told))
        return data[:end]

    def act(self, process, work):
        actor, before = Actor(process, work), (self.here, self.here_process)
        self.actors.append(actor)
        self.go_on(actor, None)
        self.here, self.here_process = before
        return actor

    def go_on(self, actor, fate):
        self.here, self.here_process = actor, actor.process
        try:
            actor.work.send(fate)
        except StopIteration:
            self.actors.remove(actor)

    def end(self, process):
        for network in self.networks:
            if network.process == process:
                network.close()
        for actor in [actor for actor in self.actors if actor.process == process]:
            self.actors.remove(actor)
            with contextlib.suppress(RuntimeError):  # it would wait for its last words to arrive
                actor.work.close()

    # What processes do.

    async def read(self, process, row, name):
        cache, began = self.caches[process], self.now
        slack = WINDOW if name == "windowed" else 0
        least = max(number for number, since in self.rows[row] if since <= began - slack)
        own = self.own.get((id(cache), row), 0)

        async def compute():
            await Pause()
            seen = self.rows[row][-1][0]
            await Pause()
            return seen

        value = await cache.entries[name].get_or_compute({"row": row}, compute)
        assert value >= max(least, own), f"{name} row {row}: {value}, but {least} was announced"

    async def write(self, process, row, is_careful):
        cache = self.caches[process]
        tags = {"rows", f"rows:{row}"}
        began, held = self.now, 0
        if is_careful:
            held = await cache.bump(tags, hold_seconds=HOLD)
        await Pause()
        if is_careful and (not held or self.now >= began + HOLD - 0.1):
            return  # it took too long, or Redis was away: not this writer's promise
        number = self.rows[row][-1][0] + 1
        commit = [number, float("inf")]
        if is_careful:
            commit[1] = began + HOLD + 0.1  # even if it dies now
        self.rows[row].append(commit)
        await Pause()
        await (cache.bump(tags, release=held) if is_careful else cache.invalidate(("rows", row)))
        self.own[id(cache), row] = number
        while not tags.isdisjoint(cache.link.undelivered):
            await Pause()
        commit[1] = min(commit[1], self.now)

    # What happens.

    @rule(process=PROCESS, row=ROW, name=st.sampled_from(["strict", "windowed"]))
    def reader_comes(self, process, row, name):
        self.act(process, self.read(process, row, name))

    @rule(process=PROCESS, row=ROW, is_careful=st.booleans())
    def writer_comes(self, process, row, is_careful):
        self.act(process, self.write(process, row, is_careful))

    @rule(which=st.integers(0, 99), steps=st.integers(1, 30), is_lost=st.integers(0, 9))
    def somebody_goes_on(self, which, steps, is_lost):
        actor = self.actors[which % len(self.actors)] if self.actors else None
        while actor in self.actors and steps:
            steps -= 1
            self.go_on(actor, "lost" if steps == 0 and is_lost == 0 else "ok")

    @rule()
    def everybody_goes_on(self):
        for _ in range(20):
            for actor in list(self.actors):
                self.go_on(actor, "ok") if actor in self.actors else None

    @rule(seconds=st.sampled_from([0.001, 0.3, 1.0, 2.5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(
        what=st.sampled_from(["late", "forgets", "saves", "empty", "old", "dies"]), which=st.integers(0, 99)
    )
    def trouble(self, what, which):
        names = sorted(self.client.scan_iter("shop:*"))
        if what == "late" and self.networks:
            self.networks[which % len(self.networks)].arrive()
        elif what == "forgets" and names:
            self.client.delete(names[which % len(names)])
        elif what == "saves":
            self.saved = {name: self.client.dump(name) for name in names}
        elif what in ("empty", "old"):
            self.restart(self.saved if what == "old" else {})
        elif what == "dies":
            self.end(which % PROCESSES)
            self.caches[which % PROCESSES] = self.start()

    def restart(self, saved):
        self.generation += 1
        self.client.flushall()
        for name, content in saved.items():
            self.client.restore(name, 0, content)
        self.client.set("server-info", f"run_id:{self.generation}")


def test_no_order_of_events_serves_what_was_announced_to_be_old(redis_url):
    source = runtime_source(is_async=True)
    for real, simulated in CHANGES.items():
        assert real in source
        source = source.replace(real, simulated)
    World.url = redis_url
    sys.modules[World.module.__name__] = World.module
    exec(compile(source, "simulated", "exec"), vars(World.module))
    options = {"max_examples": 60, "stateful_step_count": 60, "deadline": None}
    run_state_machine_as_test(World, settings=settings(**options, suppress_health_check=list(HealthCheck)))
