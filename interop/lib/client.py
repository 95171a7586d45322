"""A client: real strongSwan or libreswan, xl2tpd and pppd, on a Linux kernel that has ESP, L2TP and PPP.

The kernel is a User-Mode Linux process on a tap device, so the host's own kernel needs none of the three. Commands reach
the client through a job folder (guest/agent), not through a console, and run in parallel there.
"""
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import time
from collections import namedtuple

from . import container
from .client_config import Options
from .roots import root_of
from .settings import BULK_PORT, PATIENCE, PREFIX, WORK
from .shell import Failure, end, run, spawn, step, wait_for

Result = namedtuple("Result", "status output")
STAGES = {0: "up", 10: "IKE refused", 11: "IKE without an answer", 12: "local set-up failed", 20: "no L2TP session",
          21: "PPP without an address", 30: "PPP authentication refused", 31: "PPP closed early", 124: "time-out", 125: "machine ended"}


class Outcome:
    """Of one attempt to connect."""

    def __init__(self, status, output, seconds):
        self.status, self.output, self.seconds = status, output, seconds
        self.stage = STAGES.get(status, f"status {status}")
        found = re.search(r"ppp0 up: (\S+)", output)
        self.address = found.group(1) if found else None

    @property
    def up(self):
        return self.status == 0


class Client:
    def __init__(self, topology, folder, name, where, host, container_mode=None, **options):
        """where: wan, nat1 or nat2; container_mode: None for no container, else uml or native"""
        self.topology, self.name, self.where, self.container_mode = topology, name, where, container_mode
        self.options = Options(**options)
        self.ip, self.router = (f"203.0.113.{host}", None) if where == "wan" else (f"10.77.0.{host}", "10.77.0.1")
        self.job = folder / name
        self.tap = f"t-{where}-{host}"
        self.machine = None  # the User-Mode Linux process, where there is one
        self.running = False
        self.address = None  # of ppp0
        self.jobs = 0

    # -- the machine --
    def boot(self):
        shutil.rmtree(self.job, ignore_errors=True)
        for part in ("in", "out", "logs", "etc"):
            (self.job / part).mkdir(parents=True)
        self.jobs, self.running = 0, True
        began = time.monotonic()
        if self.container_mode:
            container.start(self)
        else:
            self._boot_uml()
        wait_for(self._ready, 60, f"{self.name} boots, see {self.job}/console.log")
        step(f"{self.name}: booted in {time.monotonic() - began:.1f} s ({self.where}, {self.ip}"
             + (f", container, {self.container_mode})" if self.container_mode else ")"))
        return self

    def _boot_uml(self):
        self.topology.add_tap(self.where, self.tap)
        (WORK / "uml").mkdir(parents=True, exist_ok=True)
        console = open(self.job / "console.log", "wb")
        self.machine = spawn(
            "linux.uml", "mem=128M", "rootfstype=hostfs", f"rootflags={root_of(self.options.stack)}", "ro", "init=/rig/init",
            "con=null", "con0=null,fd:1", f"vec0:transport=tap,ifname={self.tap},depth=128",
            f"umid={PREFIX}-{self.name}-{os.getpid()}", f"uml_dir={WORK}/uml", "quiet", "loglevel=4", "selinux=0",
            f"rig_job={self.job}", f"rig_name={self.name}", f"rig_ip={self.ip}/24", *([f"rig_gw={self.router}"] if self.router else []), namespace=self.where, output=console)

    def _ready(self):
        if not self.running:
            raise Failure(f"{self.name} was stopped")
        if self.machine and self.machine.poll() is not None:
            raise Failure(f"{self.name} did not boot, see {self.job}/console.log")
        return (self.job / "ready").exists()

    def kill(self):
        """Pulls the plug: the client vanishes without a word."""
        self.running = False
        if self.container_mode:
            container.remove(self)
        elif self.machine:
            end(self.machine)
            self.machine = None
            self.topology.remove_port(self.where, self.tap)

    def pause(self):
        """Closes the lid: the kernel stops, and frames for it are lost."""
        self.topology.plugged(self.where, self.tap, False)
        os.kill(self.machine.pid, signal.SIGSTOP)  # its kernel alone: it traces the other processes

    def resume(self):
        os.kill(self.machine.pid, signal.SIGCONT)
        self.topology.plugged(self.where, self.tap, True)

    # -- commands --
    def start(self, script):
        """Starts a shell script in the client; returns a handle for wait()."""
        number, self.jobs = self.jobs, self.jobs + 1
        path = self.job / "in" / f"{number}.sh"
        path.with_suffix(".new").write_text(script + "\n")
        path.with_suffix(".new").rename(path)
        return number

    def wait(self, number, timeout=60):
        status, until = self.job / "out" / f"{number}.rc", time.monotonic() + timeout * PATIENCE
        while not status.exists():
            if time.monotonic() > until:
                return Result(124, self.output(number))
            if not self.running or (self.machine and self.machine.poll() is not None):
                return Result(125, self.output(number))
            time.sleep(0.03)
        return Result(int(status.read_text()), self.output(number))

    def output(self, number):
        with contextlib.suppress(FileNotFoundError):
            return (self.job / "out" / f"{number}.log").read_text(errors="replace")
        return ""

    def sh(self, script, timeout=60):
        return self.wait(self.start(script), timeout)

    def log(self, name):
        with contextlib.suppress(FileNotFoundError):
            return (self.job / "logs" / name).read_text(errors="replace")
        return ""

    # -- the connection --
    def configure(self, **changes):
        for key, value in changes.items():
            setattr(self.options, key, value)
        options = self.options
        for path, text in options.render().items():
            file = self.job / "etc" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if text.startswith("#!") else 0o644)
        env = dict(STACK=options.stack, SERVER=options.server, ROUTES=" ".join(options.routes),
                   IKE_TIMEOUT=options.ike_timeout, PPP_TIMEOUT=options.ppp_timeout)
        (self.job / "env").write_text("".join(f"{key}={shlex.quote(str(value))}\n" for key, value in env.items()))

    def try_connect(self, **changes):
        """One attempt; returns its Outcome, good or bad."""
        self.configure(**changes)
        began = time.monotonic()
        status, output = self.sh("bash /rig/connect", self.options.ike_timeout + self.options.ppp_timeout + 60)
        outcome = Outcome(status, output, time.monotonic() - began)
        (self.job / "connect.log").open("a").write(output)
        self.address = outcome.address
        last = output.strip().splitlines()[-1].strip() if output.strip() else ""
        step(f"{self.name}: {outcome.stage} after {outcome.seconds:.1f} s: {last}")
        return outcome

    def connect(self, **changes):
        outcome = self.try_connect(**changes)
        if not outcome.up:
            raise Failure(f"{self.name} did not connect: {outcome.stage}; see {self.job}")
        return outcome

    def disconnect(self):
        status, output = self.sh("bash /rig/disconnect", 60)
        self.address = None
        if status:
            raise Failure(f"{self.name}: disconnect status {status}: {output.strip()[-300:]}")
        step(f"{self.name}: disconnected")

    def is_up(self):
        return self.sh("test -e /sys/class/net/ppp0").status == 0

    # -- traffic --
    def ping(self, address, count=5, size=56, interval=0.2):
        """-> number of answers"""
        result = self.sh(f"ping -n -i {interval} -W 2 -c {count} -s {size} {address}", count * interval + 30)
        found = re.search(r"(\d+) received", result.output)
        return int(found.group(1)) if found else 0

    def start_bulk(self, verb, address, size, rate=0, port=BULK_PORT):
        return self.start(f"python3 /rig/bulk.py {verb} {address} {port} {size} {rate}")

    def end_bulk(self, number, timeout=120):
        status, output = self.wait(number, timeout)
        try:
            report = json.loads(output.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise Failure(f"{self.name}: bulk transfer failed (status {status}): {(output.strip() or '?').splitlines()[-1]}") from None
        if status or not report["same"]:
            raise Failure(f"{self.name}: bulk transfer not intact: {report}")
        step(f"{self.name}: {report['verb']} {report['bytes'] / 1e6:.1f} MB in {report['seconds']} s, {report['mbit']} Mbit/s, "
             f"checksum {report['sha256'][:12]} at both ends")
        return report

    def bulk(self, verb, address, size, timeout=120, **more):
        return self.end_bulk(self.start_bulk(verb, address, size, **more), timeout)

    def seen_as(self, address):
        """The address under which a bulk server sees this client."""
        return self.sh(f"python3 /rig/bulk.py who {address} {BULK_PORT}").output.strip()

    def serve(self):
        """Runs a bulk server in the client."""
        self.start(f"exec python3 /rig/bulk.py serve {BULK_PORT}")
        self.sh(f"for i in {{1..50}}; do grep -q ':{BULK_PORT:04X} ' /proc/net/tcp && exit; sleep 0.1; done; exit 1")
