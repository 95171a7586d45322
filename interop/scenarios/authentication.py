"""MS-CHAPv2, CHAP and PAP: a client that accepts only one of them connects, and is refused with a wrong password."""
METHODS = {"mschap-v2": "<auth chap MS-v2>", "chap": "<auth chap MD5>", "pap": "<auth pap>"}


def scenario(rig):
    rig.start_gateway()
    client = rig.client()
    rig.boot(client)
    for method, shown in METHODS.items():
        mark = rig.gateway.position()
        outcome = client.try_connect(auth=(method,), password="not-her-password")
        rig.check(outcome.status == 30, f"{method}: a wrong password is refused")
        rig.gateway.attempt(since=mark, cause="wrong_password", user="alice")
        client.disconnect()
        client.connect(password="alice-pw")
        rig.check(shown in client.log("pppd.log"), f"{method}: pppd shows {shown}")
        rig.traffic(client, megabytes=1)
        client.disconnect()
    rig.stop_gateway()
