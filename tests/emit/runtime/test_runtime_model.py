"""
The invalidation protocol in every order that hypothesis can think of: the real module, a simulated clock and network.

Readers, writers and the module's own background work are coroutines of the async flavour. Each stops before its command
reaches Redis and before the answer arrives; the machine chooses who goes on, which message is lost, when Redis forgets
keys or restarts, empty or with old data, and when a process dies. The scripts run in a real Redis, by simulated time.

What must hold: nobody is given what was announced to be old, for longer than the entry allows; in a calm world nothing is
computed twice at a time; and whatever has happened, once it is over everybody is answered, every invalidation has
arrived, values are kept again, and everything in Redis expires. `bench/protocol_mutants.py` shows what this finds.
"""

import contextlib
import contextvars
import itertools
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cache_strategy.emit import runtime_source

WINDOW = HOLD = BOUND = 2.0
ENTRIES = {
    "strict": {},
    "windowed": {"window_seconds": WINDOW},
    "local": {"layers": ("memory",), "window_seconds": WINDOW},
    "bounded": {"layers": ("redis",), "staleness_bound_seconds": BOUND},
}
WRITES = {"row": ("rows", "rows:1"), "table": ("rows", "rows:*"), "all": ("@all",)}
TWO, ANY, STEPS = st.integers(0, 1), st.integers(0, 99), st.sampled_from([1, 5, 50])
ACTS = st.sampled_from(["read", "read", "read", "write", "write", "careful", "dies", "transaction"])
TROUBLES = ["late", "forgets", "empty", "old", "dies", "deaf"]
MISHAPS = [*TROUBLES, "lost", "lost", "pause", "pause", "leap"]
MOSTLY_FIRST = st.sampled_from([0, 0, 1])
NAMES, MOSTLY_ONE = st.sampled_from(list(ENTRIES)), st.sampled_from(["", "", "", "", *ENTRIES])
SIMULATED = {
    "local t = redis.call('TIME')\nlocal now = t[1] * 1000000 + t[2]": "local now = tonumber(redis.call('GET', 'clock'))",
    "redis.call('INFO', 'server')": "redis.call('GET', 'server-info')",
    "redis.pcall('PUBLISH', ARGV[5], ARGV[6])": "redis.call('RPUSH', 'told', ARGV[6])",
}


class Pause:
    """Where somebody else may go on; what comes back is the fate of the message."""

    def __await__(self):
        return (yield)


async def pauses(number):
    for _ in range(number):
        await Pause()


class Network:
    """A connection. What is written arrives when an answer is awaited, or earlier; an ear has an inbox instead."""

    def __init__(self, world):
        self.world, self.generation, self.process = world, world.generation, world.process
        self.rest, self.answers, self.owed, self.sent, self.inbox, self.late = b"", b"", 0, [], None, []
        world.networks.append(self)

    def write(self, data):
        if b"SUBSCRIBE" in data:
            self.inbox = [data.lower()]
        elif self.inbox is not None:
            self.inbox.append(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        else:
            self.sent.append(data)

    def has_more(self):
        return bool(self.answers) or self.generation != self.world.generation

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
        self.own, self.dead, self.losses = {}, [], 0  # own: what a process has announced itself
        self.has_failed, self.focus = False, "strict"
        self.is_calm, self.told, self.computing, self.disturbing, self.disturbances, self.held_until = (
            None,
            0,
            [],
            0,
            0,
            0.0,
        )
        self.commits = [(0, 0.0)]  # of the only row, and since when everybody has to see them
        vars(self.module).update(self.simulated())
        self.caches = [self.start(), self.start()]
        self.restart({})

    def simulated(self):
        world, self.tokens = self, itertools.count(1)

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
            "idle_of": lambda wires: wires.pop() if wires else None,
            "in_background": lambda work, name: self.act(self.process, work(), name=name),
            "random": SimpleNamespace(
                random=lambda: 0.5, uniform=lambda low, high: high, getrandbits=lambda bits: next(self.tokens)
            ),
            "time": SimpleNamespace(monotonic=lambda: self.now),
            "atexit": SimpleNamespace(register=lambda work: None),
        }

    def start(self):
        cache = self.module.Cache("redis://", "shop", budget_ms=1000, clock=lambda: self.now)
        cache.snapshot_began = lambda: getattr(self.here, "began", None)
        for name, options in ENTRIES.items():
            cache.entry(name, ttl_seconds=1e5, depends_on=("rows:{row}",), wait_seconds=1, **options)
        return cache

    def teardown(self):
        try:
            if not self.has_failed:
                self.all_is_well_in_the_end()
        finally:
            self.end(0), self.end(1)
            self.client.close()

    def all_is_well_in_the_end(self):
        self.settle()
        self.now += 0 if self.is_calm else 2 * HOLD  # of those who died
        assert [cache.state()["undelivered"] for cache in self.caches] == [0, 0]
        assert not any(cache.flights for cache in self.caches)
        for process, name in itertools.product((0, 1), (self.focus,)):
            for is_second in (False, True):
                before = self.caches[process].entries[name].counts["computations"]
                self.act(process, self.read(process, name))
                self.settle()
                after = self.caches[process].entries[name].counts["computations"]
                assert after - before <= (not is_second), f"{name}: was not kept"
        names = list(self.client.scan_iter("shop:*"))
        assert [name for name in names if self.client.pttl(name) <= 0] == []
        if self.is_calm:
            assert [name for name in names if re.search(rb":\d+(,\d+)+$", name)] == [], "a lock was left"

    def settle(self):
        """Nothing is lost any more, and time passes, until all are answered."""
        for turn in range(800):
            self.everybody_goes_on(1)
            self.now += 0.001 if turn < 200 else 0.01
            if all(actor.name == "cache-changes" for actor in self.actors):
                return
        raise AssertionError(f"still waiting: {[actor.name for actor in self.actors]}")

    def execute(self, commands):
        """What Redis answers, now; whoever listens is told what the commands announce."""
        self.now += 5e-6  # nothing is done in no time
        pack, parse = self.module.pack, self.module._parse
        ahead, behind = (
            pack("SET", "clock", int(self.now * 1e6)),
            (pack("LRANGE", "told", 0, -1), pack("DEL", "told")),
        )
        self.socket.sendall(ahead + commands + b"".join(behind))
        number, end = 0, 0
        while end < len(commands):
            number, end = number + 1, parse(commands, end)[1]
        data, ends, answers = b"", [0], []
        while len(answers) < number + 3:
            try:
                answer, end = parse(data, ends[-1])
                answers.append(answer)
                ends.append(end)
            except self.module._Incomplete:
                data += self.socket.recv(65536)
        for message in answers[-2]:
            self.told += 1
            for ear in self.networks:
                if ear.inbox is not None and ear.generation == self.generation:
                    ear.inbox.append(pack("message", "shop:changes", message))
        return data[ends[1] : ends[number + 1]]

    def act(self, process, work, steps=1, name="", began=None):
        before = self.here, self.process
        actor = SimpleNamespace(process=process, work=work, name=name or str(work), began=began)
        actor.is_under_way, actor.context = False, contextvars.copy_context()  # each has a budget of its own
        self.actors.append(actor)
        for _ in range(steps):
            if actor in self.actors:
                self.go_on(actor)
        self.here, self.process = before
        return work

    def go_on(self, actor, fate="ok"):
        self.here, self.process = actor, actor.process
        try:
            actor.context.run(actor.work.send, fate if actor.is_under_way else None)
            actor.is_under_way = True
        except StopIteration:
            self.actors.remove(actor)
        except BaseException:
            self.has_failed = True
            raise

    def end(self, process):
        for network in self.networks:
            if network.process == process:
                network.close()
        while ours := [actor for actor in self.actors if actor.process == process]:
            actor = ours.pop()
            self.actors.remove(actor)
            with contextlib.suppress(RuntimeError):  # it would wait for its last words to arrive
                actor.work.close()

    def restart(self, saved):
        self.generation += 1
        self.client.flushall()
        for name, content in saved.items():
            self.client.restore(name, 3_600_000, content)
        self.client.set("server-info", f"run_id:{self.generation}")

    # What processes do.

    async def read(self, process, name, snapshot=None):
        """Within a transaction it computes from what that saw when it began; nobody else may be given that later."""
        cache, options = self.caches[process], ENTRIES[name]
        since = self.now - max(options.get("window_seconds", 0), options.get("staleness_bound_seconds", 0))
        announced = max(number for number, seen_from in self.commits if seen_from <= since)
        if "staleness_bound_seconds" not in options:
            announced = max(announced, self.own.get(id(cache), 0))
        own, was_alone, disturbances = [], not self.disturbing, self.disturbances

        async def compute():
            mine = (name, self.told, process if name == "local" else None)
            is_alone = was_alone and self.disturbances == disturbances and self.now > self.held_until
            if self.is_calm and is_alone:
                assert mine not in self.computing, f"{name}: computed twice at a time"
                self.computing.append(mine)
            await pauses(3)
            own.append(self.commits[-1][0] if snapshot is None else snapshot)
            await pauses(3)
            if mine in self.computing:
                self.computing.remove(mine)
            return own[-1]

        began = self.now
        value = await cache.entries[name].get_or_compute({"row": 1}, compute)
        assert not self.is_calm or self.now - began < 0.5, f"{name}: waited for nobody"
        assert value >= announced or (snapshot is not None and own), (
            f"{name}: {value}, but {announced} was announced"
        )

    async def write(self, process, kind, is_careful, dies):
        """A careful writer holds the tags before its commit: then it may die at any time."""
        cache, tags, began, held = self.caches[process], set(WRITES[kind]), self.now, 0
        if is_careful:
            self.held_until = self.now + HOLD
            held = await cache.bump(tags, hold_seconds=HOLD)
        losses = self.losses
        await pauses(4)
        if is_careful and (not held or self.now >= began + HOLD - 0.1):
            return  # it took too long, or Redis was away: nothing is promised
        commit = [self.commits[-1][0] + 1, began + HOLD + 0.1 if is_careful else float("inf")]
        self.commits.append(commit)
        if is_careful and dies:
            self.dead.append(commit)
            commit[1] = commit[1] if losses == self.losses else float("inf")
            return
        await Pause()
        await cache.bump(tags, release=held)
        self.own[id(cache)] = commit[0]
        while not tags.isdisjoint(cache.link.undelivered):
            await Pause()
        commit[1] = min(commit[1], self.now)

    def redis_loses(self):
        """A hold that Redis has lost cannot speak for a writer who has died: two faults at once are one too many."""
        self.losses += 1
        for commit in self.dead:
            commit[1] = commit[1] if commit[1] < self.now else float("inf")

    async def disturb(self, work, *arguments):
        """While somebody writes, or cannot see what is new, others may have to compute for themselves."""
        self.disturbing, self.disturbances = self.disturbing + 1, self.disturbances + 1
        try:
            await work(*arguments)
        finally:
            self.disturbing -= 1

    # What happens.

    def weather(self, is_calm, focus):
        self.is_calm, self.focus = is_calm, focus

    def readers_come(self, process, name, steps, many):
        for _ in range(many):
            self.act(process, self.read(process, name or self.focus), steps)

    def a_transaction_reads(self, process, name, seconds, which):
        began, snapshot = self.now, self.commits[-1][0]
        self.somebody_goes_on(which, 8, 9)
        self.now += 0 if self.is_calm else seconds
        work = self.disturb(self.read, process, name or self.focus, snapshot)
        self.act(process, work, began=began)

    def writer_comes(self, process, kind, is_careful, dies, steps):
        dies = dies and not self.is_calm
        self.act(process, self.disturb(self.write, process, kind, is_careful, dies), steps)

    def somebody_goes_on(self, which, steps, is_lost):
        actor = self.actors[which % len(self.actors)] if self.actors else None
        while actor in self.actors and steps:
            steps -= 1
            self.go_on(actor, "lost" if steps == is_lost == 0 and not self.is_calm else "ok")

    def everybody_goes_on(self, times):
        for network in self.networks:
            network.arrive()
        for actor in self.actors * times:
            if actor in self.actors:
                self.go_on(actor)
        self.saved.append(
            {name: self.client.dump(name) for name in self.client.scan_iter("shop:*")}
            if times > 1
            else self.saved[-1]
        )

    def time_passes(self, seconds):
        self.now += 0.001 if self.is_calm else seconds

    def trouble(self, what, which):
        names = sorted(self.client.scan_iter("shop:*"))
        if self.is_calm:
            return
        if what == "late" and self.networks:
            self.networks[which % len(self.networks)].arrive()
        elif what == "forgets" and names:
            rows = [name for name in names if b":v:rows" in name]
            names = rows if rows and which % 2 else names
            self.client.delete(names[which // 2 % len(names)])
            self.redis_loses()
        elif what in ("empty", "old"):
            self.restart(self.saved[which % len(self.saved)] if what == "old" else {})
            self.redis_loses()
        elif what == "deaf":
            for network in self.networks:
                network.close() if network.inbox is not None else None
        elif what == "dies":
            self.end(which % 2)
            self.caches[which % 2] = self.start()


class AnyOrder(World):
    """Everybody comes and goes at any time."""

    weather = initialize(is_calm=st.sampled_from([False, False, True]), focus=NAMES)(World.weather)
    readers_come = rule(process=TWO, name=MOSTLY_ONE, steps=STEPS, many=st.integers(1, 3))(World.readers_come)
    a_transaction_reads = rule(process=TWO, name=MOSTLY_ONE, seconds=st.sampled_from([0, 0.3]), which=ANY)(
        World.a_transaction_reads
    )
    writer_comes = rule(
        process=TWO,
        kind=st.sampled_from(list(WRITES)),
        is_careful=st.booleans(),
        dies=st.booleans(),
        steps=STEPS,
    )(World.writer_comes)
    somebody_goes_on = rule(which=ANY, steps=st.integers(1, 30), is_lost=st.integers(0, 3))(
        World.somebody_goes_on
    )
    everybody_goes_on = rule(times=st.sampled_from([1, 20]))(World.everybody_goes_on)
    time_passes = rule(seconds=st.sampled_from([0.001, 0.3, 1.0, 2.5]))(World.time_passes)
    trouble = rule(what=st.sampled_from(TROUBLES), which=ANY)(World.trouble)


class Rounds(World):
    """A few meet over one key, one thing goes wrong, and when all is over it is read again in both processes."""

    weather = initialize(is_calm=st.sampled_from([False, False, True]), focus=NAMES)(World.weather)

    @rule(
        acts=st.lists(st.tuples(ACTS, MOSTLY_FIRST, st.sampled_from(list(WRITES))), min_size=1, max_size=3),
        order=st.lists(st.tuples(ANY, st.integers(1, 12)), min_size=2, max_size=8),
        troubles=st.lists(st.tuples(st.integers(0, 7), st.sampled_from(MISHAPS), ANY), max_size=2),
        rest=st.sampled_from([0, 0, 0, 2, 5, 6, 15]),
    )
    def a_round(self, acts, order, troubles, rest):
        for act, process, kind in acts:
            if act == "read":
                self.act(process, self.read(process, self.focus), 0)
            elif act == "transaction":
                work = self.disturb(self.read, process, self.focus, self.commits[-1][0])
                self.act(process, work, 0, began=self.now)
            else:
                dies = act == "dies" and not self.is_calm
                self.act(process, self.disturb(self.write, process, kind, act != "write", dies), 0)
        ours = self.actors[-len(acts) :]
        for number, (who, steps) in enumerate(order):
            is_lost = 1
            for at, what, which in troubles:
                if number == at and not self.is_calm:
                    self.now += {"pause": 0.3, "leap": 2.2}.get(what, 0)
                    is_lost = 0 if what == "lost" else is_lost
                    self.trouble(what, which)
            actor = ours[who % len(ours)]
            if who < 70 and actor in self.actors:
                who = self.actors.index(actor)
            self.somebody_goes_on(who, steps, is_lost)
        self.settle()
        for _ in range(rest):
            self.time_passes(0.3)
            self.everybody_goes_on(1)
        for process in (0, 1, 0):
            self.act(process, self.read(process, self.focus), 50)
        self.settle()
        self.everybody_goes_on(20)


def use(url, change=lambda source: source):
    """The machines on the module as it is emitted, and changed."""
    source = runtime_source(is_async=True)
    for real, simulated in SIMULATED.items():
        assert real in source
        source = source.replace(real, simulated)
    World.url = url
    World.module = sys.modules["simulated"] = ModuleType("simulated")
    exec(compile(change(source), "simulated", "exec"), vars(World.module))
    return {Rounds: 8, AnyOrder: 60}


@pytest.mark.parametrize("machine", [Rounds, AnyOrder])
def test_no_order_of_events_serves_what_was_announced_to_be_old(redis_url, machine):
    options = {"max_examples": 100, "stateful_step_count": use(redis_url)[machine], "deadline": None}
    run_state_machine_as_test(machine, settings=settings(**options, suppress_health_check=list(HealthCheck)))
