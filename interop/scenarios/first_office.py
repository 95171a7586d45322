"""The commands of docs/first-office.md, run as they stand there; a real client connects to both hubs of the result."""
import os
import re

from lib.settings import BINARY, INTEROP
from lib.shell import run


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
    rig.start_gateway(text)
    jiro = rig.client("jiro", user="jiro", password=passwords["jiro"], psk=new_key)
    guest = rig.client("guest", user="visitor1@GUESTS", password=passwords["visitor1"], psk="guests have their own 7Kq2")
    for client, network, gateway in ((jiro, "10.60.0.", "10.60.0.1"), (guest, "10.61.0.", "10.61.0.1")):
        rig.connect(client)
        rig.check(client.address.startswith(network), f"{client.name} has an address of its hub: {client.address}")
        rig.ping(client, gateway)
        client.disconnect()
    rig.stop_gateway()
