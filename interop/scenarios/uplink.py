"""Through the nat uplink to a server beyond the gateway, which sees the gateway's address and knows no way to the hub."""


def scenario(rig):
    from lib.settings import WORLD, WORLD_SEES
    rig.start_gateway()
    client = rig.client()
    with rig.capture("world", namespace="world", expression="net 10.60.0.0/16 or net 192.168.30.0/24") as leak:
        rig.connect(client)
        seen = client.seen_as(WORLD)
        rig.check(seen == WORLD_SEES, f"the server beyond sees {seen}")
        rig.traffic(client, to=WORLD)
        client.disconnect()
    rig.check(not leak.packets(), "no packet with an inner address left the gateway")
    rig.stop_gateway()
