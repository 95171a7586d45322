"""The commands of docs/first-office.md, run as they stand there; real clients in both hubs of the result, one talks to the LAN."""
import os
import re

from lib.settings import BINARY, INTEROP
from lib.shell import run
from lib.topology import add_namespace, ip, plug

ROUTER, STATION = "192.168.1.1", "192.168.1.20"


def scenario(rig):
    page = (INTEROP.parent / "docs/first-office.md").read_text()
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.S))
    programs, state = rig.folder / "bin", rig.folder / "office"
    programs.mkdir()
    (programs / "sekisho").symlink_to(BINARY)
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (programs / "sudo").chmod(0o755)
    said = run("env", f"PATH={programs}:{os.environ['PATH']}", f"SEKISHO_STATE_DIR={state}", "sh", "-euc",
               f"cd {rig.folder}; {script}").stdout
    passwords = dict(re.findall(r"^(\S+) may come in to \S+\npassword: (\S+)$", said, re.M))
    rig.check(len(passwords) == 10, f"ten users have passwords: {', '.join(passwords)}")
    text = (state / "sekisho.yaml").read_text()
    new_key = re.findall(r"^key: (\S+)$", said, re.M)[-1]
    add_namespace("office")
    plug("srv", None, "eth1", "office", "eth0", f"{ROUTER}/24")  # the page's eth1
    ip("office", "addr", "add", f"{STATION}/24", "dev", "eth0")
    rig.start_gateway(text)
    ports = run("ip", "-o", "link", "show", "master", "br-office", namespace="srv").stdout
    rig.check("eth1" in ports and "sk-office" in ports, "the bridge has the LAN and the hub in it")
    jiro = rig.client("jiro", user="jiro", password=passwords["jiro"], psk=new_key, routes=("192.168.1.0/24",))
    guest = rig.client("guest", user="visitor1@GUESTS", password=passwords["visitor1"], psk="guests have their own 7Kq2",
                       routes=("10.61.0.0/24",))
    for client, network, hosts in ((jiro, "192.168.1.2", (ROUTER, STATION)), (guest, "10.61.0.", ("10.61.0.1",))):
        rig.connect(client)
        rig.check(client.address.startswith(network), f"{client.name} has an address of its hub: {client.address}")
        for host in hosts:
            rig.ping(client, host)
    rig.cannot_reach(guest, STATION)
    answers = run("ping", "-c", "3", "-W", "2", jiro.address, namespace="office", check=False).stdout
    rig.check(" 0% packet loss" in answers, "a station of the LAN reaches jiro")
    for client in (jiro, guest):
        client.disconnect()
    ip("srv", "link", "del", "eth1")
    rig.stop_gateway()
