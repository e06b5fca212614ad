"""
The invalidation protocol in every order that hypothesis can think of: the real module, a simulated clock and network.

Readers, writers and the module's own background work are coroutines of the async flavour. Each stops before its command
reaches Redis and before the answer arrives; the machine chooses who goes on, which message is lost, when Redis forgets
keys or restarts, empty or with old data, and when a process dies. The scripts run in a real Redis, by simulated time.
"""

import contextlib
import sys
from types import ModuleType, SimpleNamespace

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from cache_strategy.emit import runtime_source

WINDOW = HOLD = 2.0
TWO, ANY = st.integers(0, 1), st.integers(0, 99)
SIMULATED = {
    "local t = redis.call('TIME')\nlocal now = t[1] * 1000000 + t[2]": "local now = tonumber(redis.call('GET', 'clock'))",
    "redis.call('INFO', 'server')": "redis.call('GET', 'server-info')",
    "redis.pcall('PUBLISH', ARGV[4], ARGV[5])": "redis.call('RPUSH', 'told', ARGV[5])",
}


class Pause:
    """Where somebody else may go on; what comes back is the fate of the message."""

    def __await__(self):
        return (yield)


class Network:
    """A connection. What is written arrives when an answer is awaited, or earlier; an ear has an inbox instead."""

    def __init__(self, world):
        self.world, self.generation, self.process = world, world.generation, world.process
        self.rest, self.answers, self.owed, self.sent, self.inbox = b"", b"", 0, [], None
        world.networks.append(self)

    def is_usable(self):
        return True

    def write(self, data):
        if b"SUBSCRIBE" in data:
            self.inbox = [data.lower()]
        elif self.inbox is not None:
            self.inbox.append(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        else:
            self.sent.append(data)

    async def receive(self, deadline):
        fate = await Pause()
        while self.inbox == [] and self.world.now <= deadline and fate != "lost":
            fate = await Pause()
        if fate == "lost" or self.generation != self.world.generation:
            raise redis.ConnectionError("lost")
        if self.inbox == []:
            raise redis.TimeoutError("silent")
        if self.inbox:
            return self.inbox.pop(0)
        self.arrive()
        if await Pause() == "lost":
            raise redis.ConnectionError("lost")
        answers, self.answers = self.answers, b""
        return answers

    def arrive(self):
        sent, self.sent = self.sent if self.generation == self.world.generation else [], []
        self.answers += b"".join(map(self.world.execute, sent))

    def close(self):
        self.generation = None


class World(RuleBasedStateMachine):
    url = ""
    module = ModuleType("simulated")

    def __init__(self):
        super().__init__()
        self.client = redis.Redis.from_url(self.url, protocol=2)
        self.socket = self.client.connection_pool.get_connection()._sock
        self.client.script_flush()
        self.now, self.generation, self.process, self.here = 1e6, 0, 0, None
        self.networks, self.actors, self.saved = [], [], [{}]
        self.own = {}  # what a process has announced itself
        self.commits = [(0, 0.0)]  # of the only row, and since when everybody has to see them
        vars(self.module).update(self.simulated())
        self.caches = [self.start(), self.start()]
        self.restart({})

    def simulated(self):
        world = self

        class Address:
            is_cluster = False

            def place(self, key):
                return None

            async def locate(self, deadline, hint=None):
                pass

            async def connect(self, place, deadline):
                await Pause()
                return Network(world)

        class Signal:
            end = float("inf")

            def set(self):
                self.end = 0

            async def wait(self, seconds):
                end = world.now + seconds
                while world.now < min(end, self.end):
                    await Pause()

        async def sleep(seconds):
            await Pause()

        return {
            "address_of": lambda url: Address(),
            "Signal": Signal,
            "sleep": sleep,
            "who_asks": lambda: id(self.here),
            "in_background": lambda work, name: self.act(self.process, work()),
            "time": SimpleNamespace(monotonic=lambda: self.now),
            "atexit": SimpleNamespace(register=lambda work: None),
        }

    def start(self):
        cache = self.module.Cache("redis://", "shop", budget_ms=1000, clock=lambda: self.now)
        for name, window in (("strict", 0), ("windowed", WINDOW)):
            cache.entry(
                name, ttl_seconds=1e5, depends_on=("rows:{row}",), window_seconds=window, wait_seconds=1
            )
        return cache

    def teardown(self):
        self.end(0), self.end(1)
        self.client.close()

    def execute(self, command):
        self.now += 5e-6  # nothing is done in no time
        self.client.set("clock", int(self.now * 1e6))
        self.socket.sendall(command)
        data = b""
        while True:
            with contextlib.suppress(self.module._Incomplete):
                data = data[: self.module._parse(data, 0)[1]]
                break
            data += self.socket.recv(65536)
        while (told := self.client.lpop("told")) is not None:
            for ear in self.networks:
                if ear.inbox is not None and ear.generation == self.generation:
                    ear.inbox.append(self.module.pack("message", "shop:changes", told))
        return data

    def act(self, process, work, steps=1):
        before, actor = (self.here, self.process), SimpleNamespace(process=process, work=work)
        self.actors.append(actor)
        for step in range(steps):
            if actor in self.actors:
                self.go_on(actor, "ok" if step else None)
        self.here, self.process = before
        return work

    def go_on(self, actor, fate="ok"):
        self.here, self.process = actor, actor.process
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

    def restart(self, saved):
        self.generation += 1
        self.client.flushall()
        for name, content in saved.items():
            self.client.restore(name, 0, content)
        self.client.set("server-info", f"run_id:{self.generation}")

    # What processes do.

    async def read(self, process, name):
        cache, since = self.caches[process], self.now - (WINDOW if name == "windowed" else 0)
        announced = max(number for number, seen_from in self.commits if seen_from <= since)
        announced = max(announced, self.own.get(id(cache), 0))

        async def compute():
            await Pause()
            seen = self.commits[-1][0]
            await Pause()
            return seen

        value = await cache.entries[name].get_or_compute({"row": 1}, compute)
        assert value >= announced, f"{name}: {value}, but {announced} was announced"

    async def write(self, process, is_careful):
        """A careful writer holds the tags before its commit: then it may die at any time."""
        cache, tags, began, held = self.caches[process], {"rows", "rows:1"}, self.now, 0
        if is_careful:
            held = await cache.bump(tags, hold_seconds=HOLD)
        await Pause()
        if is_careful and (not held or self.now >= began + HOLD - 0.1):
            return  # it took too long, or Redis was away: nothing is promised
        commit = [self.commits[-1][0] + 1, began + HOLD + 0.1 if is_careful else float("inf")]
        self.commits.append(commit)
        await Pause()
        await (cache.bump(tags, release=held) if is_careful else cache.invalidate(("rows", 1)))
        self.own[id(cache)] = commit[0]
        while not tags.isdisjoint(cache.link.undelivered):
            await Pause()
        commit[1] = min(commit[1], self.now)

    # What happens.

    @rule(process=TWO, name=st.sampled_from(["strict", "windowed"]), steps=st.sampled_from([1, 5, 50]))
    def reader_comes(self, process, name, steps):
        self.act(process, self.read(process, name), steps)

    @rule(process=TWO, is_careful=st.booleans(), steps=st.sampled_from([1, 5, 50]))
    def writer_comes(self, process, is_careful, steps):
        self.act(process, self.write(process, is_careful), steps)

    @rule(which=ANY, steps=st.integers(1, 30), is_lost=st.integers(0, 9))
    def somebody_goes_on(self, which, steps, is_lost):
        actor = self.actors[which % len(self.actors)] if self.actors else None
        while actor in self.actors and steps:
            steps -= 1
            self.go_on(actor, "lost" if steps == is_lost == 0 else "ok")

    @rule()
    def everybody_goes_on(self):
        for network in self.networks:
            network.arrive()
        for actor in self.actors * 20:
            if actor in self.actors:
                self.go_on(actor)
        self.saved.append({name: self.client.dump(name) for name in self.client.scan_iter("shop:*")})

    @rule(seconds=st.sampled_from([0.001, 0.3, 1.0, 2.5]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(what=st.sampled_from(["late", "forgets", "empty", "old", "dies"]), which=ANY)
    def trouble(self, what, which):
        names = sorted(self.client.scan_iter("shop:*"))
        if what == "late" and self.networks:
            self.networks[which % len(self.networks)].arrive()
        elif what == "forgets" and names:
            self.client.delete(names[which % len(names)])
        elif what in ("empty", "old"):
            self.restart(self.saved[which % len(self.saved)] if what == "old" else {})
        elif what == "dies":
            self.end(which % 2)
            self.caches[which % 2] = self.start()


def test_no_order_of_events_serves_what_was_announced_to_be_old(redis_url):
    source = runtime_source(is_async=True)
    for real, simulated in SIMULATED.items():
        assert real in source
        source = source.replace(real, simulated)
    World.url = redis_url
    sys.modules[World.module.__name__] = World.module
    exec(compile(source, "simulated", "exec"), vars(World.module))
    options = {"max_examples": 100, "stateful_step_count": 60, "deadline": None}
    run_state_machine_as_test(World, settings=settings(**options, suppress_health_check=list(HealthCheck)))
