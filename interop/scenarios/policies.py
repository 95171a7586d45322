"""Each policy bites: real clients get through without it and not with it, most of them by a reload under their sessions."""
import json
import time

from lib.gateway import yaml
from lib.settings import BINARY, PATIENCE
from lib.shell import run
from lib.topology import add_namespace, plug

MINUTES = 30
STATION = "02:00:00:00:00:77"  # of the LAN behind the second hub
LAN_HOST = "10.61.0.77"

# Counts datagrams for a port, and tells when it listens.
HEAR = """exec python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", {port}))
group = "{group}"
if group: s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("{own}"))
open("/tmp/hears", "w").close()
count, end = 0, time.monotonic() + {seconds}
while time.monotonic() < end:
    s.settimeout(max(0.01, end - time.monotonic()))
    try: s.recv(2048)
    except OSError: break
    count += 1
print("heard", count)
'"""

SEND = """python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("{own}"))
s.bind(("{own}", {source}))
for _ in range({count}): s.sendto(bytes(64), ("{to}", {port}))
'"""

# Frames of any making from the LAN.
RAW = """
import socket, struct
def mac(text): return bytes.fromhex(text.replace(":", ""))
def total(data):
    data += bytes(len(data) % 2)
    value = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while value >> 16: value = (value & 0xFFFF) + (value >> 16)
    return ~value & 0xFFFF
def ethernet(to, source, kind, payload): return mac(to) + mac(source) + struct.pack("!H", kind) + payload
def udp(source, to, sport, dport):
    payload = struct.pack("!4H", sport, dport, 28, 0) + bytes(20)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
    return head[:10] + struct.pack("!H", total(head)) + head[12:] + payload
def arp(source, address): return struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac(source), socket.inet_aton(address), bytes(6), socket.inet_aton(address))
def advertisement():
    return struct.pack("!IHBB", 6 << 28, 16, 58, 255) + bytes.fromhex("fe80" + "0" * 27 + "1" + "ff02" + "0" * 27 + "1") + bytes([134]) + bytes(15)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
ALL = "ff:ff:ff:ff:ff:ff"
"""


def scenario(rig):
    add_namespace("office")
    plug("srv", None, "office0", "office", "eth0", f"{LAN_HOST}/24")
    run("ip", "link", "set", "eth0", "address", STATION, namespace="office")
    config = rig.config()
    config["hubs"]["HUB2"]["uplink"] = {"interface": "office0"}
    rig.start_gateway(config)
    alice, bob = rig.client("alice"), rig.client("bob", where="nat2", user="bob")
    dave = rig.client("dave", where="nat2", host=103, user="dave@HUB2")
    rig.connect(alice, bob, dave)
    hub, office = config["hubs"]["HUB1"], config["hubs"]["HUB2"]
    world = World(rig, config)

    apart(world, alice, bob, hub)
    fast(world, alice, hub)
    floods(world, alice, bob, hub)
    servers(world, alice, bob, hub)
    addresses(world, alice, bob)
    watching(world, alice, hub)
    lists(world, alice, bob, hub)
    behind_the_uplink(world, dave, office)
    rig.check(len(world.ctl("session", "list")) == 3, "nobody had to connect again so far")
    rig.check(not any(record["message"] == "uplink closed" for record in rig.gateway.records()), "and every uplink stayed plugged in")
    times(world, alice, bob, hub)
    admission(world, alice, bob, hub)
    volume(world, alice, hub)
    rig.each([bob, dave], type(dave).disconnect)
    rig.gateway.stop()
    rig.gateway.check_log()


class World:
    def __init__(self, rig, config):
        self.rig, self.config = rig, config

    def ctl(self, *words, check=True):
        answer = run(BINARY, "ctl", "--state-dir", self.rig.gateway.folder / "state", "--json", *words, namespace="srv", check=check).stdout
        return [json.loads(line) for line in answer.splitlines() if line]

    def put(self, place, **rules):
        """Rules at a hub, a user, `uplink_rules`, from the next packet on."""
        place |= rules
        (self.rig.folder / "gateway.yaml").write_text(yaml(self.config))
        self.ctl("reload")

    def lift(self, place, *rules):
        for rule in rules:
            place.pop(rule)
        self.put(place)

    def dropped(self, reason):
        return sum(row["count"] for row in self.ctl("drops") if row["reason"] == reason)

    def counts(self, reason, action, at_least):
        """Whether so many more packets are dropped for a reason by an action."""
        before = self.dropped(reason)
        action()
        end = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < end and self.dropped(reason) - before < at_least:
            time.sleep(0.2)
        return self.dropped(reason) - before >= at_least

    def hears(self, client, port, action, group="", seconds=5):
        """How many datagrams for a port a client hears while something is done."""
        client.sh("rm -f /tmp/hears")
        number = client.start(HEAR.format(port=port, group=group, own=client.address, seconds=seconds * PATIENCE))
        client.sh("for i in {1..200}; do test -e /tmp/hears && exit; sleep 0.1; done; exit 1")
        action()
        return int(client.wait(number).output.split()[-1])

    def lan(self, *frames, times=1):
        """Frames from the LAN, each an expression."""
        sends = "\n".join(f"for _ in range({times}): s.send({frame})" for frame in frames)
        run("python3", "-c", RAW + sends, namespace="office")


def send(client, to, port, source=0, count=1):
    return lambda: client.sh(SEND.format(own=client.address, to=to, port=port, source=source, count=count))


def apart(world, alice, bob, hub):
    rig = world.rig
    rig.ping(alice, bob.address)
    world.put(hub["users"]["bob"], isolated=True)
    rig.cannot_reach(alice, bob.address)
    rig.cannot_reach(bob, alice.address)
    rig.ping(bob, rig.hub_gateway(bob))
    world.lift(hub["users"]["bob"], "isolated")
    rig.ping(alice, bob.address)


def fast(world, alice, hub):
    rig, gateway = world.rig, world.rig.hub_gateway(alice)
    for verb, rule in (("get", "rate_down"), ("put", "rate_up")):
        free = alice.bulk(verb, gateway, 2_000_000, timeout=180)["mbit"]
        world.put(hub["users"]["alice"], **{rule: "2mbit"})
        bound = alice.bulk(verb, gateway, 1_000_000, timeout=180)["mbit"]
        world.lift(hub["users"]["alice"], rule)
        rig.check(free > 4 and bound < 2.4, f"{rule}: {bound} Mbit/s of {free}")


def floods(world, alice, bob, hub):
    rig = world.rig
    bob.sh("ip route replace 255.255.255.255 dev ppp0; ip route replace 224.0.0.0/4 dev ppp0")
    user = hub["users"]["bob"]
    world.put(user, broadcasts=1000)
    free = world.hears(alice, 4000, send(bob, "255.255.255.255", 4000, count=100))
    world.put(user, broadcasts=5)
    bound = world.hears(alice, 4000, send(bob, "255.255.255.255", 4000, count=100))
    world.lift(user, "broadcasts")
    rig.check(free >= 80 and bound <= 40, f"broadcasts: {bound} of 100 are heard, {free} without a limit")
    group = "239.1.2.3"
    free = world.hears(alice, 4001, send(bob, group, 4001, count=5), group)
    world.put(user, multicast=False)
    bound = world.hears(alice, 4001, send(bob, group, 4001, count=5), group)
    world.lift(user, "multicast")
    rig.check((free, bound) == (5, 0), f"multicast: {free} of 5 are heard, {bound} where it is off")


def servers(world, alice, bob, hub):
    offer = send(bob, alice.address, 68, source=67, count=3)
    bound = world.hears(alice, 68, offer)
    world.put(hub["users"]["bob"], dhcp_guard=False)
    free = world.hears(alice, 68, offer)
    world.lift(hub["users"]["bob"], "dhcp_guard")
    world.rig.check((free, bound) == (3, 0), f"dhcp_guard: {bound} of 3 offers are heard, {free} without it")


def addresses(world, alice, bob):
    """no_bridge, no_routing, check_mac, check_ip of a link: always."""
    bob.sh("ip addr add 10.99.0.1/32 dev lo")
    foreign = lambda: bob.sh(f"ping -c 3 -i 0.2 -W 1 -I 10.99.0.1 {alice.address}")  # noqa: E731
    world.rig.check(world.counts("spoofed source", foreign, 3), "what a client sends for others goes nowhere")
    bob.sh("ip addr del 10.99.0.1/32 dev lo")


def watching(world, alice, hub):
    rig = world.rig
    words = (BINARY, "ctl", "--state-dir", rig.gateway.folder / "state", "hub", "monitor", "HUB1", "--write", rig.folder / "seen.pcapng")
    world.put(hub, monitor=False)
    refused = run(*words, "--count", "1", namespace="srv", check=False)
    rig.check(refused.returncode == 1, f"monitor: {refused.stderr.strip()}")
    world.lift(hub, "monitor")
    pings = alice.start(f"ping -c 20 -i 0.2 {rig.hub_gateway(alice)}")
    rig.check(run(*words, "--count", "2", namespace="srv", check=False).returncode == 0, "without the rule it watches")
    alice.wait(pings)


def lists(world, alice, bob, hub):
    rig = world.rig
    world.put(hub, access_list=[{"action": "discard", "user": "bob", "to_user": "alice", "protocol": "icmp"}])
    rig.cannot_reach(bob, alice.address)
    rig.ping(bob, rig.hub_gateway(bob))
    rule = world.ctl("acl", "HUB1")[0]
    rig.check(rule["frames"] >= 3, f"`ctl acl` has counted {rule['frames']} frames")
    world.lift(hub, "access_list")
    rig.ping(bob, alice.address)


def behind_the_uplink(world, dave, office):
    rig, rules = world.rig, office.setdefault("uplink_rules", {})
    rig.ping(dave, LAN_HOST, lost=1)
    guarded = (
        ("arp_guard", "spoofed source", f'ethernet(ALL, "{STATION}", 0x0806, arp("{STATION}", "{dave.address}"))'),
        ("ra_guard", "DHCP server or router not allowed here", f'ethernet("33:33:00:00:00:01", "{STATION}", 0x86DD, advertisement())'),
        ("dhcp_guard", "DHCP server or router not allowed here", f'ethernet(ALL, "{STATION}", 0x0800, udp("{LAN_HOST}", "255.255.255.255", 67, 68))'),
    )
    for rule, reason, frame in guarded:
        told = {}
        for on in (True, False):
            world.put(rules, **{rule: on})
            told[on] = world.counts(reason, lambda: world.lan(frame, times=3), 3)  # noqa: B023
        world.lift(rules, rule)
        rig.check(told == {True: True, False: False}, f"{rule}: frames are discarded with it, and pass without")
    mac = next(row["mac"] for row in world.ctl("ip", "list", "--hub", "HUB2") if row["address"] == dave.address)

    strange = f'ethernet("{mac}", "{STATION}", 0x0800, udp("10.61.0.200", "{dave.address}", 9, 4002))'
    free = world.hears(dave, 4002, lambda: world.lan(strange, times=3))
    world.put(rules, no_routing=True)
    run("ping", "-c", "1", "-W", "2", dave.address, namespace="office", check=False)  # its own address is known by its ARP
    bound = world.hears(dave, 4002, lambda: world.lan(strange, times=3))
    rig.ping(dave, LAN_HOST, lost=1)
    world.lift(rules, "no_routing")
    rig.check((free, bound) == (3, 0), f"no_routing: {bound} of 3 packets of a router are heard, {free} without it")

    def stations(count):
        return [f'ethernet(ALL, "02:00:00:00:01:{n:02x}", 0x0806, arp("02:00:00:00:01:{n:02x}", "10.61.0.{n}"))' for n in range(100, 100 + count)]

    for rule, reason in (("max_macs", "too many MAC addresses"), ("max_ips", "too many IP addresses")):
        rig.check(not world.counts(reason, lambda: world.lan(*stations(6)), 1), f"six stations without {rule}")
        world.put(rules, **{rule: 3})
        for row in world.ctl("ip", "list", "--hub", "HUB2"):
            if row["learned"]:
                world.ctl("ip", "delete", "HUB2", row["address"])
        for row in world.ctl("mac", "list", "--hub", "HUB2"):
            if row["learned"]:
                world.ctl("mac", "delete", "HUB2", row["mac"])
        many = lambda: [world.lan(*stations(6)) or time.sleep(0.3) for _ in range(3)]  # noqa: E731
        rig.check(world.counts(reason, many, 3), f"{rule}: with it, three")
        world.lift(rules, rule)

    every = f'ethernet(ALL, "{STATION}", 0x0800, udp("{LAN_HOST}", "255.255.255.255", 9, 4003))'
    free = world.hears(dave, 4003, lambda: world.lan(every, times=100))
    world.put(rules, broadcasts=5)
    bound = world.hears(dave, 4003, lambda: world.lan(every, times=100))
    world.lift(rules, "broadcasts")
    rig.check(free >= 80 and bound <= 40, f"broadcasts of the LAN: {bound} of 100 are heard, {free} by default")
    group = f'ethernet("01:00:5e:01:02:03", "{STATION}", 0x0800, udp("{LAN_HOST}", "239.1.2.3", 9, 4004))'
    free = world.hears(dave, 4004, lambda: world.lan(group, times=3), "239.1.2.3")
    world.put(rules, multicast=False)
    bound = world.hears(dave, 4004, lambda: world.lan(group, times=3), "239.1.2.3")
    world.lift(rules, "multicast")
    rig.check((free, bound) == (3, 0), f"multicast of the LAN: {free} of 3 are heard, {bound} where it is off")


def times(world, alice, bob, hub):
    """Alice is busy and has her time, bob is idle."""
    rig, since = world.rig, world.rig.gateway.position()
    world.put(hub["users"]["alice"], session_timeout="1m")
    world.put(hub["users"]["bob"], idle_timeout="1m")
    busy = alice.start(f"ping -i 1 -w 150 {rig.hub_gateway(alice)}")
    for user in ("alice", "bob"):
        rig.gateway.attempt(since, timeout=120, cause="time_limit", user=user)
    alice.sh("pkill ping")
    alice.wait(busy)
    world.lift(hub["users"]["alice"], "session_timeout")
    world.lift(hub["users"]["bob"], "idle_timeout")
    for client in (alice, bob):
        client.disconnect()
        client.connect()


def admission(world, alice, bob, hub):
    """Who is not let in: bob's account is tried from alice's device, with bob's own session up where that matters."""
    rig, user = world.rig, hub["users"]["bob"]
    shut = "20:00-21:00" if time.gmtime().tm_hour < 18 else "06:00-07:00"
    alice.disconnect()
    tries = (({"max_sessions": 1, "on_limit": "deny"}, "session_limit"),
             ({"access": "deny"}, "access_denied"),
             ({"expires": "2026-01-31"}, "account_expired"),
             ({"hours": f"mon-sun {shut}"}, "out_of_hours"))
    for rules, cause in tries:
        world.put(user, **rules)
        since = rig.gateway.position()
        outcome = alice.try_connect(user="bob", password=user["password"])
        rig.check(not outcome.up, f"{cause}: {outcome.stage}")
        rig.gateway.attempt(since, cause=cause, user="bob")
        alice.disconnect()
        world.lift(user, *rules)
        if not bob.is_up():
            bob.disconnect()
            bob.connect()
    alice.connect(user="alice", password=hub["users"]["alice"]["password"])


def volume(world, alice, hub):
    rig, since = world.rig, world.rig.gateway.position()
    world.put(hub["users"]["alice"], volume="1MB")
    alice.sh(f"ping -f -c 1500 -s 1000 {rig.hub_gateway(alice)}", 120)
    rig.gateway.attempt(since, timeout=60, cause="volume_used", user="alice")
    alice.disconnect()
    since = rig.gateway.position()
    rig.check(not alice.try_connect().up, "and the month is over for her")
    rig.gateway.attempt(since, cause="volume_used", user="alice")
    alice.disconnect()
    world.lift(hub["users"]["alice"], "volume")
    alice.connect()
    alice.disconnect()
