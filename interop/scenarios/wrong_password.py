"""A wrong password: pppd sees E=691, the log names the cause and the user, and the right password works at once."""
import re


def scenario(rig):
    rig.start_gateway()
    client = rig.client()
    rig.boot(client)
    outcome = client.try_connect(password="not-her-password")
    rig.check(outcome.status == 30, "refused at PPP authentication")
    failure = re.search(r"E=691.*", client.log("pppd.log"))
    rig.check(failure, "pppd was told E=691")
    rig.gateway.attempt(cause="wrong_password", user="alice", hub="HUB1", peer="203.0.113.11")
    client.disconnect()
    client.connect(password="alice-pw")
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()
