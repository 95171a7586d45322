"""The gateway under test, in the namespace srv, with its configuration, its log and its end."""
import contextlib
import json
import os
import shutil
import signal
import time

from .settings import BINARY, PASSWORDS, PATIENCE, PSK
from .shell import Failure, cpu_seconds, end, run, spawn, step, wait_for


TOLD = ("cause", "stage", "client", "user", "hub", "peer")


def default_config():
    """Two hubs; every user's password is in settings.PASSWORDS."""
    def hub(network, users):
        prefix = network.rsplit(".", 1)[0]
        return {"network": network, "dhcp": {"range": f"{prefix}.10-{prefix}.250", "dns": [f"{prefix}.1"]}, "uplink": "nat",
                "users": {user: {"password": PASSWORDS[user]} for user in users}}
    return {"listen": {"addresses": ["0.0.0.0"], "l2tp_ipsec": True, "raw_l2tp": False},
            "ipsec": {"policy": "compatible", "psk": [{"key": PSK}]},
            "default_hub": "HUB1",
            "hubs": {"HUB1": hub("10.60.0.0/24", ("alice", "bob", "carol")), "HUB2": hub("10.61.0.0/24", ("dave",))}}


def yaml(value, indent=0):
    """Enough YAML for a configuration: maps in blocks, everything else as JSON, which is YAML too."""
    if not isinstance(value, dict):
        return " " + json.dumps(value) + "\n"
    return ("\n" if indent else "") + "".join(f"{' ' * indent}{key}:{yaml(item, indent + 2)}" for key, item in value.items())


def same(key, said, expected):
    """Names in any case; of an address with a port, the address."""
    said, expected = str(said).lower(), str(expected).lower()
    return said == expected or (key == "peer" and said.startswith(expected + ":"))


class Sekisho:
    name = "sekisho"
    gateways = {"HUB1": "10.60.0.1", "HUB2": "10.61.0.1"}
    networks = {"HUB1": "10.60.0.0/24", "HUB2": "10.61.0.0/24"}

    def __init__(self, folder, config=None):
        self.folder, self.config, self.process = folder, config or default_config(), None
        self.user = None  # runs as this user, without any right
        self.resolver = None  # its host's name server, if not the machine's
        self.log_path = folder / "gateway.log"
        self.log_path.write_text("")
        self.mark = 0  # where the log of the present process begins

    @staticmethod
    def client_options(_stack):
        return {}

    @staticmethod
    def version():
        return run(BINARY, "--version", check=False).stdout.strip() or "unknown"

    def start(self):
        path = self.folder / "gateway.yaml"
        path.write_text(self.config if isinstance(self.config, str) else yaml(self.config))
        path.chmod(0o600)
        self.mark = self.log_path.stat().st_size
        if self.user:
            shutil.chown(path, self.user)
        self.process = spawn(*self._as_user(), BINARY, "run", "--config", path, "--state-dir", self.folder / "state", "--log-format", "json",
                             namespace="srv", output=open(self.log_path, "ab"), env={"RUST_BACKTRACE": "1"})
        wait_for(lambda: self._ready(), 20, f"the gateway says ready, see {self.log_path}")
        step(f"gateway started, pid {self.process.pid}")

    def _as_user(self):
        """What stands before the command; each becomes the next, and the last one the gateway."""
        words = []
        if self.resolver:
            file = self.folder / "resolv.conf"
            file.write_text(f"nameserver {self.resolver}\n")
            # In the mount namespace that `ip netns exec` has made.
            words += ["sh", "-c", 'mount --bind "$0" "$(realpath /etc/resolv.conf)" && exec "$@"', file]
        if self.user:
            words += ["setpriv", "--reuid", self.user, "--regid", "nogroup", "--clear-groups", "--no-new-privs",
                      "--bounding-set=-all", "--inh-caps=-all"]
        return words

    def _ready(self):
        if self.process.poll() is not None:
            raise Failure(f"the gateway ended with status {self.process.returncode} at its start: {self._tail()}")
        return any(record["message"] == "ready" for record in self.records(self.mark))

    def _tail(self):
        return self.log_path.read_text(errors="replace")[-600:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """In order: must end with status 0 within 10 s."""
        if self.process is None:
            return
        began = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)  # ip netns exec has become the gateway itself
        with contextlib.suppress(Exception):
            self.process.wait(10 * PATIENCE)
        status = self.process.poll()
        self.kill()
        if status != 0:
            raise Failure(f"the gateway did not end with status 0 within 10 s of SIGTERM: {status}")
        step(f"gateway stopped in {time.monotonic() - began:.1f} s")

    def kill(self):
        if self.process:
            end(self.process)
            self.process = None

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    # -- what it says --
    def records(self, since=0):
        """The log's lines as flat dictionaries with at least "message"."""
        found = []
        with open(self.log_path, errors="replace") as file:
            file.seek(since)
            for line in file:
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        found.append({"message": "", **record, **record.get("fields", {})})
        return found

    def position(self):
        return self.log_path.stat().st_size

    def attempt(self, since=0, timeout=15, **expected):
        """Waits for the record of an attempt that ended as expected: cause="wrong_psk", user="alice", ..."""
        def matching():
            ended[:] = [record for record in self.records(since) if record["message"] == "attempt ended"]
            return [record for record in ended if all(same(key, record.get(key), value) for key, value in expected.items())]
        ended = []
        try:
            record = wait_for(matching, timeout, "", every=0.2)[-1]
        except Failure:
            told = [{key: record.get(key) for key in TOLD} for record in ended]
            raise Failure(f"the gateway's log has no ended attempt with {expected}; it has {told}") from None
        step("gateway: attempt ended: " + ", ".join(f"{key}={record.get(key)}" for key in TOLD))
        return record

    def check_log(self):
        """Nothing in its log may be an error or a panic."""
        text = self.log_path.read_text(errors="replace")
        if "panicked at" in text:
            raise Failure(f"the gateway panicked: {text[text.index('panicked at'):][:300]}")
        errors = [record for record in self.records() if record.get("level") == "ERROR"]
        if errors:
            raise Failure(f"the gateway logged an error: {errors[0]}")
