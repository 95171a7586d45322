"""What a GiB of TCP costs the server, from and to a real client through the NAT: figures, interleaved with SoftEther; every checksum is compared."""
from statistics import median

from lib.settings import WORLD
from lib.shell import step

ALONE = True  # what runs beside it would be measured as well
MINUTES = 12
GIB = 1 << 30


def scenario(rig, runs=3, megabytes=200):
    peers = {name: rig.peer_at(name) for name in ("softether", "sekisho")}
    costs = {(name, verb): [] for name in peers for verb in ("put", "get")}
    client = None
    rig.serve_bulk()
    for _ in range(runs):
        for name, gateway in peers.items():
            rig.gateway = gateway
            gateway.start()
            if client is None:
                client = rig.client()
                rig.boot(client)
            client.connect()
            client.bulk("get", WORLD, 5_000_000)
            for verb in ("put", "get"):
                before = gateway.cpu_seconds()
                report = client.bulk(verb, WORLD, megabytes * 1_000_000, timeout=240)
                cost = (gateway.cpu_seconds() - before) * GIB / report["bytes"]
                step(f"{name}: {verb} {cost:.2f} s of CPU a GiB")
                costs[name, verb].append(cost)
            client.disconnect()
            gateway.stop()
    for verb, way in (("put", "from the client"), ("get", "to the client")):
        ours, theirs = median(costs["sekisho", verb]), median(costs["softether", verb])
        rig.note(f"{way}: {ours:.2f} s a GiB, SoftEther {theirs:.2f} s: {theirs / ours:.1f} times less")
