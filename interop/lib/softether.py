"""Debian's SoftEther VPN server in the gateway's place: the reference peer, to compare with and to prove the rig itself."""
import os
import shutil
import signal

from .settings import PASSWORDS, PSK
from .shell import Failure, cpu_seconds, end, run, spawn, step, wait_for

SERVER = "/usr/libexec/softether/vpnserver/vpnserver"


class SoftEther:
    name = "softether"
    gateways = {"HUB1": "192.168.30.1", "HUB2": "192.168.31.1"}
    networks = {"HUB1": "192.168.30.0/24", "HUB2": "192.168.31.0/24"}

    def __init__(self, folder, config=None):
        self.folder, self.process = folder / "softether", None
        shutil.rmtree(self.folder, ignore_errors=True)
        for part in ("db", "log", "pid"):
            (self.folder / part).mkdir(parents=True)
        self.configured = False

    @staticmethod
    def client_options(stack):
        # it shows the identity 0.0.0.0, which libreswan takes only when spelled like this
        return {"right_id": "000.0.0.0"} if stack == "libreswan" else {}

    @staticmethod
    def version():
        return "softether-vpnserver " + run("dpkg-query", "-W", "-f", "${Version}", "softether-vpnserver", check=False).stdout

    def start(self):
        # a mount namespace of its own: its state, logs and pid files go into our folder
        script = "".join(f"mkdir -p {at}; mount --bind {self.folder}/{part} {at}; "
                         for part, at in (("db", "/var/lib/softether"), ("log", "/var/log/softether"), ("pid", "/run/softether")))
        self.process = spawn("unshare", "-m", "bash", "-c", f"{script} cd {self.folder}; exec {SERVER} execsvc", namespace="srv")
        wait_for(lambda: ":5555" in run("ss", "-ltn", namespace="srv").stdout, 20, "SoftEther listens")
        if not self.configured:
            self._configure()
        wait_for(lambda: ":500 " in run("ss", "-lun", namespace="srv").stdout, 20, "SoftEther's IKE listens")
        step("softether started")

    def _configure(self):
        commands = []
        for hub, users in (("HUB1", ("alice", "bob", "carol")), ("HUB2", ("dave",))):
            commands += [f"HubCreate {hub} /PASSWORD:hub", f"Hub {hub}", "SecureNatEnable"]
            for user in users:
                commands += [f"UserCreate {user} /GROUP:none /REALNAME:none /NOTE:none", f"UserPasswordSet {user} /PASSWORD:{PASSWORDS[user]}"]
        commands += ["SecureNatHostSet /MAC:none /IP:192.168.31.1 /MASK:255.255.255.0",
                     "DhcpSet /START:192.168.31.10 /END:192.168.31.200 /MASK:255.255.255.0 /EXPIRE:7200 /GW:192.168.31.1 "
                     "/DNS:192.168.31.1 /DNS2:none /DOMAIN:none /LOG:yes /PUSHROUTE:none",
                     f"IPsecEnable /L2TP:yes /L2TPRAW:yes /ETHERIP:no /PSK:{PSK} /DEFAULTHUB:HUB1", "Flush"]
        (self.folder / "commands").write_text("\n".join(commands) + "\n")
        run("vpncmd", "localhost:5555", "/SERVER", "/PASSWORD:", f"/IN:{self.folder}/commands", namespace="srv")
        self.configured = True

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        self._end(signal.SIGTERM)
        step("softether stopped")

    def kill(self):
        self._end(signal.SIGKILL)

    def _end(self, how):
        """The server forks a guardian and a worker; a worker left behind would share the ports with the next one."""
        if self.process is None:
            return
        group, self.process = self.process, None
        end(group, how)

        def gone():
            try:
                os.killpg(group.pid, 0)
            except ProcessLookupError:
                return True
            return False
        try:
            wait_for(gone, 15, "")
        except Failure:
            os.killpg(group.pid, signal.SIGKILL)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def rss_kib(self):
        return sum(map(int, run("ps", "-o", "rss=", "-s", self.process.pid).stdout.split()))

    # -- it keeps no log that could be compared --
    def position(self):
        return 0

    def attempt(self, **_):
        step("softether: no attempt records to check")
        return {}

    def check_log(self):
        pass
