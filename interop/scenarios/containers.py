"""Two clients in podman containers behind one NAT, from our own image."""


def scenario(rig):
    from lib import container
    mode = container.mode()
    rig.note(f"client containers in {mode} mode")
    rig.start_gateway()
    alice, bob = (rig.client(user, user=user, container_mode=mode) for user in ("alice", "bob"))
    rig.connect(alice, bob)
    rig.traffic(alice, bob)
    rig.ping(alice, bob.address)
    alice.disconnect()
    rig.ping(bob, rig.hub_gateway(bob), count=10)
    bob.disconnect()
    rig.stop_gateway()
