"""Two clients of one hub, one behind a NAT and one not, reach each other: ping of all sizes, bulk both ways."""
# With two workers the clients may be of one or of two: plain ESP comes to the first worker's socket whoever it is for.
CASES = {"client-to-client": {"workers": 1}, "client-to-client-workers": {"workers": 2}}


def scenario(rig, workers):
    config = rig.config()
    config["workers"] = workers
    rig.start_gateway(config)
    alice, bob = rig.client("alice"), rig.client("bob", where="wan", user="bob")
    rig.connect(alice, bob)
    for size in (56, 1300, 1372, 3000):
        answers = alice.ping(bob.address, size=size)
        rig.check(answers == 5, f"{answers} of 5 pings with {size} bytes from alice to bob answered")
    bob.serve()
    for verb in ("put", "get"):
        alice.bulk(verb, bob.address, 20_000_000)
    rig.each([alice, bob], type(alice).disconnect)
    rig.stop_gateway()
