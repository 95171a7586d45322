"""A LAN's own dnsmasq gives a client its address through a bridge; without it, the record says so."""
from lib.shell import end, run, spawn, wait_for
from lib.settings import PREFIX
from lib.topology import add_namespace, ip, plug

ROUTER = "10.60.0.1"


def scenario(rig):
    add_namespace("office")
    plug("srv", None, "office0", "office", "eth0", f"{ROUTER}/24")
    config = rig.config()
    config["hubs"]["HUB1"] |= {"uplink": {"bridge": "br-office", "interface": "office0"}, "address": "lan-dhcp"}
    config["hubs"]["HUB1"].pop("dhcp")
    leases = rig.folder / "leases"
    leases.write_text("")
    rig.start_gateway(config)
    server = spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--user=root",
                   "--dhcp-range=10.60.0.100,10.60.0.150,2m", f"--dhcp-leasefile={leases}", "--log-dhcp",
                   f"--log-facility={rig.folder / 'dnsmasq.log'}", f"--pid-file={rig.folder / 'dnsmasq.pid'}", namespace="office")
    wait_for(lambda: ":67 " in run("ss", "-lun", namespace="office").stdout, 10, "dnsmasq listens")

    client = rig.client()
    rig.connect(client)
    rig.check(100 <= int(client.address.split(".")[3]) <= 150, f"the address is dnsmasq's: {client.address}")
    lease = leases.read_text().split()
    rig.check(client.address in lease and "alice" in lease, f"dnsmasq knows whose it is: {' '.join(lease)}")
    mac, first = lease[1], client.address
    rig.ping(client, ROUTER)
    neighbours = run("ip", "-n", f"{PREFIX}-office", "neigh", "show", client.address).stdout
    rig.check(mac in neighbours, "the LAN sees the client under the MAC address that asked")
    wait_for(lambda: (rig.folder / "dnsmasq.log").read_text().count("DHCPACK") >= 2, 100, "the lease is prolonged", every=1)
    rig.ping(client, ROUTER)
    client.disconnect()
    wait_for(lambda: f"DHCPRELEASE(eth0) {first}" in (rig.folder / "dnsmasq.log").read_text(), 20, "the lease is given back")

    client.connect()
    rig.check(client.address == first and mac in leases.read_text(), "the same device has the same MAC and IP address again")
    client.disconnect()
    end(server)
    since = rig.gateway.position()
    outcome = client.try_connect()
    rig.check(not outcome.up, "without a server there is no connection")
    rig.gateway.attempt(since, timeout=40, cause="lan_dhcp_silent", user="alice")
    ip("srv", "link", "set", "office0", "nomaster")
    rig.gateway.stop()
    rig.gateway.check_log()
