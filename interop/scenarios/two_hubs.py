"""user@hub and hub\\user lead to their hubs, in any case of letters; the hubs are isolated from each other."""

from lib.settings import WORLD


def scenario(rig):
    rig.start_gateway()
    both = (*rig.gateway.networks.values(), WORLD)
    alice = rig.client("alice", user="alice@HUB1", routes=both)
    dave = rig.client("dave", user="HUB2\\dave", routes=both)
    rig.connect(alice, dave)
    for client, hub in ((alice, "HUB1"), (dave, "HUB2")):
        network = rig.gateway.networks[hub].rsplit(".", 1)[0]
        rig.check(client.address.startswith(network + "."), f"{client.name} has an address of {hub}: {client.address}")
    rig.traffic(alice, dave, megabytes=5)
    rig.cannot_reach(alice, dave.address)
    rig.cannot_reach(dave, alice.address)
    for client in (alice, dave):
        client.disconnect()
    for user in ("dave@hub2", "hub1\\ALICE"):
        dave.connect(user=user, password="dave-pw" if "dave" in user else "alice-pw")
        rig.ping(dave, rig.hub_gateway(dave))
        dave.disconnect()
    rig.stop_gateway()
