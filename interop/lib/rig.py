"""What a scenario works with: one topology, one gateway, its clients, and the checks that most scenarios share."""
import contextlib
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from . import container, roots
from .capture import Capture
from .client import Client
from .gateway import Sekisho, default_config
from .settings import BULK_PORT, INTEROP, PASSWORDS, WORLD
from .shell import Failure, end, run, spawn, step, wait_for
from .topology import Topology

PEERS = {"sekisho": Sekisho}
MEGABYTE = 1_000_000


def peer_class(name):
    if name == "softether":
        from .softether import SoftEther
        return SoftEther
    return PEERS[name]


class Rig:
    def __init__(self, folder, peer="sekisho", keep=False):
        self.folder, self.keep = folder, keep
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.topology = Topology()
        self.peer = peer_class(peer)
        self.gateway = None
        self.clients, self.servers, self.notes = [], [], []

    def __enter__(self):
        container.remove_all()
        self.topology.up()
        return self

    def __exit__(self, kind, *_):
        if self.keep:
            step(f"kept as it is: {self.folder}; namespaces: ip netns list")
            return
        self.each(self.clients, Client.kill)
        if self.gateway:
            self.gateway.kill()
        for server in self.servers:
            end(server)
        self.topology.down()

    # -- the gateway's side --
    def start_gateway(self, config=None, user=None, resolver=None):
        """With two hubs (see gateway.default_config) unless said otherwise; as root, with the machine's name servers."""
        self.gateway = self.peer(self.folder, config)
        if user or resolver:
            self.gateway.user, self.gateway.resolver = user, resolver
        self.gateway.start()
        if not self.servers:
            self.serve_bulk()
        return self.gateway

    def serve_bulk(self):
        """Something to talk to on the gateway's host and in the world."""
        for namespace in ("srv", "world"):
            self.servers.append(spawn("python3", INTEROP / "guest/bulk.py", "serve", BULK_PORT, namespace=namespace))
            wait_for(lambda: f":{BULK_PORT} " in run("ss", "-ltn", namespace=namespace).stdout, 10, "bulk server listens")

    def peer_at(self, name):
        """A peer by its name, not started: to compare several."""
        return peer_class(name)(self.folder)

    def stop_gateway(self):
        """In order; then nothing of it may be left in its namespace, and no error in its log."""
        self.gateway.stop()
        devices = re.findall(r"^\d+: ([\w.-]+)", run("ip", "-o", "link", namespace="srv").stdout, re.M)
        self.check(set(devices) == {"lo", "eth0", "out0"}, f"no device of the gateway is left: {devices}")
        tables = run("nft", "list", "tables", namespace="srv").stdout.split("\n")
        self.check(not any(tables), "no nftables table of the gateway is left")
        self.gateway.check_log()

    config = staticmethod(default_config)

    # -- clients --
    def client(self, name=None, where="nat1", host=None, container_mode=None, **options):
        """A client, not booted yet. Behind nat1 as alice unless said otherwise."""
        user = options.get("user", "alice")
        bare = re.sub(r".*\\|@.*", "", user).lower()
        options.setdefault("password", PASSWORDS.get(bare, "no-such-user"))
        networks = self.gateway.networks
        options.setdefault("routes", (networks["HUB2" if bare == "dave" else "HUB1"], f"{WORLD}/32"))
        options = {**self.gateway.client_options(options.get("stack")), **options}
        number = len(self.clients) + 1
        client = Client(self.topology, self.folder, name or f"c{number}", where, host or 100 + number, container_mode, **options)
        self.clients.append(client)
        return client

    def boot(self, *clients):
        roots.prepare({client.options.stack for client in clients})
        self.each(clients, Client.boot)

    def connect(self, *clients):
        """Boots, where that has not been done, and connects; all at the same time. -> outcomes"""
        self.boot(*(client for client in clients if not client.running))
        return self.each(clients, Client.connect)

    @staticmethod
    def each(clients, action):
        """Does something with all clients at the same time. The first failure ends it; nobody waits for the others."""
        pool = ThreadPoolExecutor(max(1, len(clients)))
        try:
            return list(pool.map(action, clients))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    # -- checks --
    @staticmethod
    def check(condition, text):
        step(("ok: " if condition else "NOT: ") + text)
        if not condition:
            raise Failure(text)

    def note(self, text):
        """For the table of results."""
        step(text)
        self.notes.append(text)

    def capture(self, name, **more):
        return Capture(self.folder / f"{name}.pcap", **more)

    @staticmethod
    def lend(client, program):
        """Lends a client a program of this machine, which is the same Debian, with its libraries -> the command"""
        path = shutil.which(program)
        libraries = re.findall(r"=> (/\S+)", run("ldd", path).stdout)
        lent = client.job / "lent"
        lent.mkdir(exist_ok=True)
        for file in (path, *libraries):
            shutil.copy(file, lent)
        return f"LD_LIBRARY_PATH=/job/lent /job/lent/{program}"

    def hub_gateway(self, client):
        """The address of the hub's gateway, as a client of it sees it."""
        third = client.address.rsplit(".", 1)[0]
        return next(address for address in self.gateway.gateways.values() if address.rsplit(".", 1)[0] == third)

    def bulk_host(self, client):
        """Where a bulk server answers at the gateway; SoftEther's gateway address is virtual and has none."""
        return self.hub_gateway(client) if self.gateway.name == "sekisho" else WORLD

    def ping(self, client, address, count=5, lost=0):
        answers = client.ping(address, count)
        self.check(answers >= count - lost, f"{client.name}: {answers} of {count} pings to {address} answered")

    def cannot_reach(self, client, address):
        answers = client.ping(address, 3)
        self.check(answers == 0, f"{client.name}: no ping to {address} answered")

    def traffic(self, *clients, to=None, megabytes=20):
        """Pings and a bulk transfer both ways, with all clients at the same time; to the hub's gateway unless said."""
        def both_ways(client):
            self.ping(client, to or self.hub_gateway(client))
            address = to or self.bulk_host(client)
            for verb in ("put", "get"):
                client.bulk(verb, address, int(megabytes * MEGABYTE), timeout=180)
        self.each(clients, both_ways)

    @contextlib.contextmanager
    def took_less_than(self, seconds, what):
        began = time.monotonic()
        yield
        self.check(time.monotonic() - began < seconds, f"{what} took {time.monotonic() - began:.1f} s, limit {seconds} s")
