"""The first five minutes, from nothing: `sekisho up`, a real client, a wrong password and a wrong key found out, `doctor`.

`--set write=1` makes docs/transcript.md of what was typed and said.
"""
import os
import re
import time

from lib.settings import BINARY, INTEROP, WORLD
from lib.shell import Failure, run, spawn, wait_for
from lib.small_servers import running
from lib.topology import ip

PAGE = INTEROP.parent / "docs/transcript.md"
HEAD = """# The first five minutes

A host that has nothing but the program, and a computer that has never heard of it: strongSwan, xl2tpd and pppd, behind a NAT. What
stands here was typed and said; `interop/run first-minutes --set write=1` wrote it. The network is that of
[interop/README.md](../interop/README.md#how-it-works): the gateway is 203.0.113.1, the client's NAT 203.0.113.11.
"""


def scenario(rig, write=0):
    began = time.monotonic()
    pages = [HEAD]
    # The way out has the address that clients dial.
    ip("srv", "route", "add", "default", "via", "192.0.2.2", "src", "203.0.113.1")
    programs, home = rig.folder / "bin", rig.folder / "var-lib"
    programs.mkdir()
    home.mkdir()
    (rig.folder / "resolv.conf").write_text(f"nameserver {WORLD}\n")
    (programs / "sekisho").symlink_to(BINARY)
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (programs / "sudo").chmod(0o755)
    # A host of its own: its state, its name server, its programs.
    host = ["unshare", "-m", "sh", "-c", f"mount --bind {home} /var/lib && mount --bind {rig.folder}/resolv.conf /etc/resolv.conf"
            ' && exec env -u SEKISHO_STATE_DIR PATH="$0:$PATH" LANG=C.UTF-8 sh -c "$1"', programs]

    def say(text):
        pages.append(f"\n{text}\n")

    def show(command, output, where=""):
        prompt = f"{where}$ "
        pages.append(f"\n```console\n{prompt}{command}\n{output.strip()}\n```\n")

    def type_in(command, *expected, status=0):
        done = run(*host, command, namespace="srv", check=False)
        output = done.stdout + done.stderr
        show(command, output)
        rig.check(done.returncode == status and all(word in output for word in expected),
                  f"{command}: {', '.join(expected) or 'done'}" + ("" if done.returncode == status else f": {output}"))
        return output

    with running("world", "dns", WORLD):
        log = rig.folder / "up.log"
        process = spawn(*host, "exec sudo sekisho up", namespace="srv", output=open(log, "wb"))
        card = wait_for(lambda: (text := log.read_text()) and "Configuration:" in text and text, 20, "the card")
        rig.gateway = rig.peer_at("sekisho")
        rig.gateway.process = process
        say("One command. It makes a key, a hub and a user, opens its ports, and prints a card:")
        show("sudo sekisho up", card)
        key, user, password = (re.search(rf"^ *{word} +(\S+)$", card, re.M).group(1) for word in ("Key", "User", "Password"))

        say("What the card says goes into the client's files (`interop/lib/client_config.py`), and its daemons are started. They log:")
        client = rig.client("computer", user=user, password=password, psk=key, routes=("10.60.0.0/24", f"{WORLD}/32"))
        rig.connect(client)
        logs = (client.log("charon.log") + client.log("pppd.log")).splitlines()
        told = [line for line in logs if re.search(r"_SA vpn.* established|CHAP authentication|IP address|DNS address", line)]
        rig.check(len(told) >= 5, "the client's daemons say how it went")
        pages.append("\n```text\n" + "\n".join(told) + "\n```\n")
        for target in ("10.60.0.1", WORLD):
            show(f"ping -c 3 {target}", ping := client.sh(f"ping -n -c 3 {target}").output, "computer")
            rig.check(" 0% packet loss" in ping, f"the client reaches {target}")
        say("The gateway has seen it all, stage by stage:")
        type_in("sudo sekisho ctl session list", user, client.address)
        type_in("sudo sekisho ctl stories", "connected")
        client.disconnect()

        say("Somebody else is to come in, and mistypes the password:")
        said = type_in("sudo sekisho user add jiro --generate", "password:")
        right = re.search(r"^password: (\S+)$", said, re.M).group(1)
        outcome = client.try_connect(user="jiro", password="not-this-one")
        rig.check(not outcome.up, "the wrong password does not come in")
        type_in("sudo sekisho ctl why jiro", "password")
        client.disconnect()

        say("And then the key. This client does not even get to a name, so one asks by address:")
        client.try_connect(user="jiro", password=right, psk="not the key on the card")
        type_in("sudo sekisho ctl why 203.0.113.11", "key")
        type_in("sudo sekisho ctl why 203.0.113.11 --lang ja", "事前共有キー")
        client.disconnect()
        say("With both as they should be:")
        client.connect(user="jiro", password=right, psk=key)
        type_in("sudo sekisho ctl session list", "jiro", client.address)

        say("What else could keep people out? `doctor` looks, and connects through the gateway's own ports itself:")
        done = run(*host, "sudo sekisho doctor", namespace="srv", check=False)
        show("sudo sekisho doctor", done.stdout)
        rig.check(done.returncode in (0, 2) and "our own client connected" in done.stdout, f"doctor finds nothing broken: {done.stdout}")
        client.disconnect()
    say(f"That was {max(1, round((time.monotonic() - began) / 60))} minutes, most of them the client's booting and its patience with wrong keys.")
    rig.gateway.stop()
    text = "".join(pages)
    strangers = [address for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)
                 if not re.match(r"(10|127|192\.0\.2|198\.51\.100|203\.0\.113|0\.0\.0\.0|255\.)", address)]
    if strangers or str(rig.folder) in text or os.uname().nodename in text:
        raise Failure(f"the transcript has something of this machine in it: {strangers}")
    (rig.folder / "transcript.md").write_text(text)
    if write:
        PAGE.write_text(text)
