"""The files of `sekisho profile USER --for linux`, as they are, connect with strongSwan and xl2tpd."""
from lib.settings import BINARY, GATEWAY
from lib.shell import run

CLIENTS = ["strongSwan 5.9 and xl2tpd, files of `sekisho profile`"]


def scenario(rig):
    rig.start_gateway()
    out = rig.folder / "profile"
    run(BINARY, "profile", "dave@HUB2", "--for", "linux", "--server", GATEWAY, "--name", "vpn",
        "--config", rig.folder / "gateway.yaml", "--out", out)
    files = {"ipsec.conf": "ipsec.conf", "ipsec.secrets": "ipsec.secrets", "xl2tpd/xl2tpd.conf": "xl2tpd.conf",
             "ppp/options.vpn": "options.vpn"}
    files = {place: (out / name).read_text() for place, name in files.items()}
    files["ppp/options.vpn"] += "logfile /job/logs/pppd.log\ndebug\n"  # which the rig reads; nothing else is added
    client = rig.client(user="dave@HUB2", files=files)
    outcome = rig.connect(client)[0]
    rig.check(client.address.startswith("10.61.0."), f"it is in HUB2: {client.address}")
    rig.note(f"ppp0 after {outcome.seconds:.1f} s")
    rig.traffic(client, megabytes=2)
    client.disconnect()
    rig.stop_gateway()
