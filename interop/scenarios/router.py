"""Two hubs joined by the virtual layer-3 switch: clients, a LAN and a network behind it; a reload parts and joins them."""
import json

from lib.gateway import yaml
from lib.settings import BINARY
from lib.shell import run
from lib.topology import add_namespace, ip, plug

HOST, FAR = "10.61.0.77", "192.168.7.1"
ROUTER = {"CORE": {"hubs": {"HUB1": "10.60.0.254", "HUB2": "10.61.0.254"}, "routes": [f"192.168.7.0/24 via {HOST}"]}}


def scenario(rig):
    add_namespace("office")
    plug("srv", None, "office0", "office", "eth0", f"{HOST}/24")
    ip("office", "addr", "add", f"{FAR}/32", "dev", "lo")
    ip("office", "route", "add", "10.60.0.0/24", "via", "10.61.0.254")
    config = rig.config()
    config["hubs"]["HUB2"] |= {"uplink": {"interface": "office0"}}
    config["routers"] = ROUTER
    rig.start_gateway(config)
    networks = (*rig.gateway.networks.values(), "192.168.7.0/24")
    alice = rig.client("alice", routes=networks)
    dave = rig.client("dave", where="nat2", user="dave@HUB2", routes=networks)
    rig.connect(alice, dave)

    for client, other in ((alice, dave), (dave, alice)):
        rig.ping(client, other.address)
        rig.ping(client, "10.60.0.254")
        rig.ping(client, "10.61.0.254")
    rig.ping(alice, HOST)
    rig.ping(alice, FAR)
    rig.ping(dave, FAR)
    answers = run("ping", "-c", "3", "-W", "2", "-I", FAR, alice.address, namespace="office", check=False).stdout
    rig.check(" 0% packet loss" in answers, "a station behind the LAN's router reaches a client of the other hub")
    told = alice.sh(f"ping -c 1 -t 1 -W 3 {dave.address}; true").output
    rig.check("Time to live exceeded" in told and "10.60.0.254" in told, "a packet that is too old is told to its sender")
    told = alice.sh("ping -c 1 -W 6 10.61.0.99; true").output
    rig.check("Destination Host Unreachable" in told and "10.60.0.254" in told, "and so is a host that does not answer")
    dave.serve()
    for verb in ("put", "get"):
        alice.bulk(verb, dave.address, 10_000_000, timeout=180)

    rows = ctl(rig, "router", "list")
    rig.check([(row["kind"], row["network"]) for row in rows] == [("hub", "10.60.0.0/24"), ("hub", "10.61.0.0/24"), ("route", "192.168.7.0/24")]
              and all(row["port"] for row in rows if row["kind"] == "hub") and rows[0]["forwarded"] > 7000, f"`ctl router list`: {rows[0]}")

    config.pop("routers")
    reload(rig, config)
    rig.cannot_reach(alice, dave.address)
    config["routers"] = ROUTER
    reload(rig, config)
    rig.ping(alice, dave.address, lost=1)
    rig.check(len(ctl(rig, "session", "list")) == 2, "no session ended for it")
    rig.each([alice, dave], type(alice).disconnect)
    rig.gateway.stop()
    rig.gateway.check_log()


def reload(rig, config):
    (rig.folder / "gateway.yaml").write_text(yaml(config))
    ctl(rig, "reload")


def ctl(rig, *words):
    answer = run(BINARY, "ctl", "--state-dir", rig.gateway.folder / "state", "--json", *words, namespace="srv").stdout
    return [json.loads(line) for line in answer.splitlines() if line]
