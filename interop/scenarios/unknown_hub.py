"""A hub or a user that does not exist: the client sees E=691, as for a wrong password; the log names the cause."""


def scenario(rig):
    rig.start_gateway()
    client = rig.client()
    rig.boot(client)
    for user, cause in (("alice@NOHUB", "unknown_hub"), ("NOHUB\\alice", "unknown_hub"),
                        ("zoe", "unknown_user"), ("dave", "unknown_user")):
        mark = rig.gateway.position()
        outcome = client.try_connect(user=user, password="alice-pw")
        rig.check(outcome.status == 30 and "E=691" in client.log("pppd.log"), f"{user}: refused, and pppd was told E=691")
        rig.gateway.attempt(since=mark, cause=cause)
        client.disconnect()
    client.connect(user="alice")
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()
