"""Without NAT: ESP as IP protocol 50, from a public address and from a routed network."""
CASES = {"plain-esp": {"where": "wan"}, "plain-esp-routed": {"where": "nat1"}}


def scenario(rig, where):
    rig.start_gateway()
    if where == "nat1":
        rig.topology.nat("nat1", "off")
    client = rig.client(where=where)
    with rig.capture("gateway") as capture:
        rig.connect(client)
        rig.traffic(client)
        client.disconnect()
    packets = capture.packets()
    for direction, address in (("to", client.ip), ("from", "203.0.113.1")):
        seen = sum(packet.protocol == 50 and packet.source == address for packet in packets)
        rig.check(seen > 100, f"plain ESP {direction} the gateway: {seen} packets of IP protocol 50")
    rig.check(not any(4500 in (packet.sport, packet.dport) for packet in packets), "nothing on UDP 4500")
    rig.stop_gateway()
