"""Three clients of three kinds behind one NAT: strongSwan with both of its configurations, and libreswan."""
CLIENTS = ["strongSwan (ipsec.conf) + xl2tpd", "strongSwan (swanctl) + xl2tpd", "libreswan + xl2tpd"]


def scenario(rig):
    rig.start_gateway()
    kinds = {"alice": "strongswan", "bob": "swanctl", "carol": "libreswan"}
    clients = [rig.client(user, user=user, stack=stack) for user, stack in kinds.items()]
    rig.connect(*clients)
    rig.traffic(*clients)
    for one, other in zip(clients, clients[1:] + clients[:1]):
        rig.ping(one, other.address)
    while clients:
        clients.pop().disconnect()
        rig.each(clients, lambda client: rig.ping(client, rig.hub_gateway(client)))
    rig.stop_gateway()
