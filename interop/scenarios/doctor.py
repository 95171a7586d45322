"""`sekisho doctor` on a host that is well, and with one thing after the other broken: the line that says so, and the remedy."""
import contextlib
import json

from lib.gateway import default_config, yaml
from lib.settings import BINARY, WORLD, WORLD_SEES
from lib.shell import end, run, spawn, wait_for
from lib.small_servers import running
from lib.topology import add_namespace, ip, plug

TARGET, SHY, NOBODY = "10.62.0.77", "10.62.0.78", "10.62.0.79"


def scenario(rig):
    office(rig)
    config = default_config()
    users = {"jiro": {"password": "dr2jUwa9fq"}}
    config["hubs"]["HUB1"] |= {"users": users, "dhcp": {"dns": [WORLD]}, "targets": [WORLD]}
    config["hubs"]["HUB2"] |= {"users": {}, "dhcp": {"dns": [WORLD]}}
    config["hubs"]["LAN"] = {
        "network": "10.62.0.0/24", "dhcp": {"range": "10.62.0.200-10.62.0.250", "dns": [TARGET]},
        "uplink": {"bridge": "br-office", "interface": "office0"}, "targets": [TARGET, SHY, NOBODY], "users": {}}
    ip("srv", "route", "add", "default", "via", "192.0.2.2")
    resolv = rig.folder / "resolv.conf"
    resolv.write_text(f"nameserver {WORLD}\n")

    def doctor(*words):
        """-> {check: [(state, found, remedy)]}; what the machine's clock says is the machine's affair."""
        sees = f"mount --bind {resolv} /etc/resolv.conf && exec \"$@\""
        done = run("unshare", "-m", "sh", "-c", sees, "-", BINARY, "doctor", "--json", "--config", rig.folder / "gateway.yaml",
                   "--state-dir", rig.folder / "state", *words, namespace="srv", check=False)
        rows = json.loads(done.stdout)["lines"]
        (rig.folder / "doctor.json").write_text(done.stdout)
        found = {}
        for row in rows:
            found.setdefault(row["check"], []).append((row["state"], row["found"], row.get("remedy", "")))
        worst = {"ok": 0, "warn": 2, "fail": 1}
        states = [row["state"] for row in rows]
        rig.check(done.returncode == worst["fail" if "fail" in states else "warn" if "warn" in states else "ok"],
                  f"exit code {done.returncode} tells the worst of its lines")
        return found

    def says(found, check, state, *words):
        lines = found.get(check, [])
        good = [line for line in lines if line[0] == state and all(word in " ".join(line) for word in words)]
        rig.check(good, f"{check}: {state}, {', '.join(words)}: {good[0] if good else lines}")
        if state != "ok":
            rig.check(all(line[2] for line in good), f"{check}: with a remedy")

    def well(found, *besides):
        bad = {check: lines for check, lines in found.items()
               if check not in ("clock", *besides) and any(line[0] != "ok" for line in lines)}
        rig.check(not bad, f"nothing else is wrong: {bad}")

    with running("world", "dns", WORLD), running("office", "dns", TARGET), running("world", "stun", WORLD, "203.0.113.200"):
        # No gateway yet: one of its own, for the moment.
        gateway_yaml(rig, config)
        found = doctor()
        says(found, "gateway", "warn", "no gateway answers")
        says(found, "ports", "ok", "UDP 0.0.0.0:500 is free")
        says(found, "self-connect", "ok", "our own client connected")
        well(found, "gateway", "target")
        with holder("srv", 4500):
            found = doctor()
            says(found, "ports", "fail", "UDP port 4500 is taken: python3", "stop python3")
            says(found, "self-connect", "warn", "not tried", "4500")

        rig.start_gateway(config)
        found = doctor()
        says(found, "gateway", "ok", "runs with")
        says(found, "ports", "ok", "the gateway listens on UDP 0.0.0.0:4500")
        says(found, "forwarding", "ok")
        says(found, "packet filter", "ok")
        says(found, "addresses", "ok", "hub HUB1: 0 of")
        says(found, "address", "ok", WORLD_SEES)
        says(found, "uplink", "ok", "gateway 192.0.2.2 on out0 answers")
        says(found, "internet", "ok", WORLD)
        says(found, "dns", "ok", WORLD)
        says(found, "LAN DHCP", "ok", "hub LAN: no DHCP server beside its own on br-office")
        says(found, "self-connect", "ok", "connected to hub HUB1")
        says(found, "self-connect", "ok", "the hub's gateway 10.60.0.1 answers through the tunnel")
        says(found, "self-connect", "ok", f"the name server {WORLD} answers through the tunnel")
        says(found, "self-connect", "ok", "connected to hub LAN")
        says(found, "target", "ok", WORLD, "HUB1")
        says(found, "target", "ok", TARGET, "LAN")
        says(found, "target", "warn", f"{SHY} answers ARP", "no ping")
        says(found, "target", "fail", f"{NOBODY} answers neither ARP nor ping")
        says(found, "self-connect", "warn", "no router answers at 10.62.0.1")
        well(found, "target", "self-connect")
        leases = run(BINARY, "ctl", "--state-dir", rig.folder / "state", "--json", "dhcp", "list", namespace="srv").stdout
        rig.check("doctor" not in leases, "its guests leave no addresses behind")

        found = doctor("--no-connect", "--stun", f"{WORLD}:3478")
        says(found, "address", "warn", "a NAT is in front", "203.0.113.200", "UDP 4500", "AssumeUDPEncapsulation")
        with running("office", "dhcp", "eth0", TARGET, "10.62.0.120"):
            says(doctor("--no-connect"), "LAN DHCP", "ok", f"{TARGET} answers on br-office")
        with running("office", "dhcp", "eth0", TARGET, "10.62.0.210"):
            says(doctor("--no-connect"), "LAN DHCP", "warn", "10.62.0.210", "hub LAN gives out as well")

        with rules("chain input { type filter hook input priority 0; udp dport 4500 drop; }"):
            says(doctor("--no-connect"), "packet filter", "fail", "table other, chain input", "drops UDP 4500")
        with rules("chain forward { type filter hook forward priority 0; policy drop; }"):
            found = doctor("--hub", "HUB1")
            says(found, "packet filter", "warn", "table other, chain forward", "sk-hub1")
            says(found, "self-connect", "fail", f"the name server {WORLD} does not answer through the tunnel")
            says(found, "target", "fail", WORLD)
        run("sysctl", "-qw", "net.ipv4.conf.sk-hub1.forwarding=0", namespace="srv")
        says(doctor("--no-connect"), "forwarding", "fail", "sk-hub1", "sysctl -w")
        run("sysctl", "-qw", "net.ipv4.conf.sk-hub1.forwarding=1", namespace="srv")
        run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1", namespace="srv")
        says(doctor("--no-connect"), "ping", "warn", "answers no ping")
        run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0", namespace="srv")
        ip("srv", "route", "del", "default")
        says(doctor("--no-connect"), "uplink", "warn", "no default route")
        ip("srv", "route", "add", "default", "via", "192.0.2.77")
        says(doctor("--no-connect"), "uplink", "fail", "gateway 192.0.2.77 on out0 does not answer")
        ip("srv", "route", "replace", "default", "via", "192.0.2.2")
        ip("srv", "link", "set", "out0", "mtu", "1400")
        says(doctor("--no-connect"), "mtu", "warn", "1400 bytes", "ppp.mru")
        ip("srv", "link", "set", "out0", "mtu", "1500")

    found = doctor("--hub", "HUB1")  # the name servers have gone
    says(found, "internet", "warn", WORLD)
    says(found, "dns", "fail", WORLD)
    says(found, "self-connect", "fail", f"the name server {WORLD} does not answer")
    (rig.folder / "gateway.yaml").write_text("hubs: {}\n")
    says(doctor(), "config", "fail", "there is no hub")
    rig.gateway.stop()
    rig.gateway.check_log()


def office(rig):
    """A LAN with a host that answers, and one that answers ARP alone."""
    add_namespace("office")
    plug("srv", None, "office0", "office", "eth0", f"{TARGET}/24")
    ip("office", "addr", "add", f"{SHY}/24", "dev", "eth0")
    run("nft", "-f", "-", namespace="office", stdin=(
        f"table ip shy {{ chain input {{ type filter hook input priority 0; ip daddr {SHY} icmp type echo-request drop; }}; }}"))


def gateway_yaml(rig, config):
    path = rig.folder / "gateway.yaml"
    path.write_text(yaml(config))
    path.chmod(0o600)


@contextlib.contextmanager
def holder(namespace, port):
    """Somebody else has the port."""
    script = f"import socket, time; s = socket.socket(2, 2); s.bind(('', {port})); time.sleep(600)"
    process = spawn("python3", "-c", script, namespace=namespace)
    wait_for(lambda: f":{port} " in run("ss", "-lun", namespace=namespace).stdout, 10, "the port is taken")
    try:
        yield
    finally:
        end(process)


@contextlib.contextmanager
def rules(chain):
    run("nft", "-f", "-", namespace="srv", stdin=f"table inet other {{ {chain}; }}\n")
    try:
        yield
    finally:
        run("nft", "delete", "table", "inet", "other", namespace="srv")
