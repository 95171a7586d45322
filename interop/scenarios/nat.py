"""One client behind a NAT: the everyday case."""


def scenario(rig):
    rig.start_gateway()
    client = rig.client()
    with rig.capture("gateway") as capture:
        outcome = rig.connect(client)[0]
        rig.note(f"ppp0 after {outcome.seconds:.1f} s, address {client.address}")
        rig.traffic(client)
        client.disconnect()
    packets = capture.packets()
    rig.check(sum(packet.protocol == 17 and 4500 in (packet.sport, packet.dport) for packet in packets) > 1000,
              "ESP went through UDP 4500")
    rig.check(not any(packet.protocol == 50 for packet in packets), "no plain ESP")
    rig.gateway.attempt(cause="peer_left", user="alice", hub="HUB1")
    rig.stop_gateway()
