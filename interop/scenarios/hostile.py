"""Five minutes of random, truncated and mutated datagrams with valid cookies and SPIs: a connected client loses no ping."""
import json
import re
import time

MIB = 1024  # KiB


def scenario(rig, seconds=300, rate=1000, seed=1):
    from lib.settings import GATEWAY, INTEROP
    from lib.shell import spawn
    rig.start_gateway()
    go, report = rig.folder / "go", rig.folder / "attacker.json"
    attacker = spawn("python3", INTEROP / "lib/attacker.py", "to-srv", GATEWAY, go, seconds, rate, seed,
                     namespace="wan", output=open(report, "wb"))
    clients = [rig.client("alice"), rig.client("bob", where="wan", user="bob")]
    rig.connect(*clients)  # the attacker learns from their handshakes
    rig.traffic(*clients, megabytes=1)
    pings = [client.start(f"ping -n -i 1 -W 5 -c {seconds} {rig.hub_gateway(client)}") for client in clients]
    go.touch()
    memory = {}
    for minute in range(1, seconds // 60 + 1):
        time.sleep(60)
        rig.check(rig.gateway.alive(), f"alive after minute {minute}")
        memory[minute] = rig.gateway.rss_kib()
    for client, ping in zip(clients, pings):
        received = int(re.search(r"(\d+) received", client.wait(ping, seconds + 60).output).group(1))
        rig.check(received == seconds, f"{client.name}: {received} of {seconds} pings answered")
    attacker.wait(60)
    sent = json.loads(report.read_text())
    rig.note(f"{sent['sent']} datagrams (seed {seed}); resident memory by minute, KiB: {list(memory.values())}")
    rig.check(sent["sent"] > seconds * rate * 0.5, f"the attacker sent what it should: {sent}")
    rig.check(abs(memory[max(memory)] - memory[1]) <= 2 * MIB, f"memory after the last minute within 2 MiB of the first: {memory}")
    rig.traffic(*clients, megabytes=1)
    newcomer = rig.client("carol", where="nat2", user="carol")
    rig.connect(newcomer)
    rig.traffic(newcomer, megabytes=1)
    rig.each([*clients, newcomer], type(newcomer).disconnect)
    rig.stop_gateway()
