"""An office LAN behind a bridge that the gateway makes: a client is a station in it, a monitor sees it, and all is undone."""
from lib.settings import BINARY, PATIENCE
from lib.shell import run, spawn
from lib.topology import add_namespace, ip, plug

HOST = "10.60.0.77"


def scenario(rig):
    add_namespace("office")
    plug("srv", None, "office0", "office", "eth0", f"{HOST}/24")
    config = rig.config()
    config["hubs"]["HUB1"] |= {"uplink": {"bridge": "br-office", "interface": "office0"}}
    rig.start_gateway(config)
    ports = run("ip", "-o", "link", "show", "master", "br-office", namespace="srv").stdout
    rig.check("office0" in ports and "sk-hub1" in ports, "the bridge has the LAN and the hub in it")

    client = rig.client()
    rig.connect(client)
    seen = rig.folder / "seen.pcapng"
    monitor = spawn(BINARY, "ctl", "--state-dir", rig.folder / "state", "hub", "monitor", "HUB1",
                    "--filter", f"icmp and host {HOST}", "--count", "6", "--write", seen, namespace="srv")
    rig.ping(client, HOST, lost=1)
    answers = run("ping", "-c", "3", "-W", "2", client.address, namespace="office", check=False).stdout
    rig.check(" 0% packet loss" in answers, "a station of the LAN reaches the client")
    neighbours = run("ip", "-n", ip_name("office"), "neigh", "show", client.address).stdout
    rig.check("lladdr" in neighbours, f"the LAN sees the client itself: {neighbours.strip()}")
    monitor.wait(20 * PATIENCE)
    shown = run("tcpdump", "-n", "-r", seen, check=False).stdout
    rig.check(shown.count("ICMP echo") == 6, "the monitor's file has six frames of the pings")
    client.disconnect()

    rig.gateway.stop()
    links = run("ip", "-o", "link", namespace="srv").stdout
    rig.check("br-office" not in links and "master" not in links, "the bridge is gone and the LAN's interface is free")
    rig.gateway.start()
    rig.gateway.kill()  # without a word
    rig.check("br-office" in run("ip", "-o", "link", namespace="srv").stdout, "a killed gateway leaves its bridge")
    ip("srv", "link", "set", "office0", "up")
    rig.gateway.start()
    rig.gateway.stop()
    links = run("ip", "-o", "link", namespace="srv").stdout
    rig.check("br-office" not in links and "master" not in links, "and the next one takes it away")
    rig.gateway.check_log()


def ip_name(namespace):
    from lib.settings import PREFIX
    return f"{PREFIX}-{namespace}"
