"""The gateway goes away, in order or by kill -9, and comes back: the client notices, reconnects, and has its address again."""
CASES = {"gateway-restart": {"how": "stop"}, "gateway-restart-kill": {"how": "kill"}}


def scenario(rig, how):
    import time
    from lib.shell import wait_for
    rig.start_gateway()
    client = rig.client(dpd=5, ppp_extra=("lcp-echo-interval 2", "lcp-echo-failure 4"))
    address = rig.connect(client)[0].address
    rig.traffic(client, megabytes=2)
    if how == "stop":
        rig.stop_gateway()
    else:
        rig.gateway.kill()
    rig.gateway.start()
    began = time.monotonic()
    wait_for(lambda: not client.is_up(), 60, "the client notices", every=0.5)
    gone = time.monotonic() - began
    client.sh("bash /rig/disconnect", 60)
    again = client.connect()
    rig.note(f"ppp0 gone {gone:.0f} s after the restart, connected again in {again.seconds:.1f} s")
    rig.check(again.address == address, f"same address: {address}")
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()
