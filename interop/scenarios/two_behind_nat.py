"""Two clients behind one NAT, both with inner port 1701; and the same private address behind two NATs."""
CASES = {"two-behind-nat": {"places": [("nat1", 101), ("nat1", 102)]},
         "same-address-two-nats": {"places": [("nat1", 101), ("nat2", 101)]}}


def scenario(rig, places):
    rig.start_gateway()
    alice, bob = (rig.client(user, where=where, host=host, user=user) for user, (where, host) in zip(("alice", "bob"), places))
    rig.connect(alice, bob)
    rig.check(alice.address != bob.address, f"different addresses: {alice.address}, {bob.address}")
    rig.traffic(alice, bob)
    rig.ping(alice, bob.address)
    rig.ping(bob, alice.address)
    alice.disconnect()
    rig.ping(bob, rig.hub_gateway(bob), count=10)
    rig.traffic(bob, megabytes=2)
    alice.connect()
    rig.traffic(alice, bob, megabytes=2)
    rig.each([alice, bob], type(alice).disconnect)
    rig.stop_gateway()
