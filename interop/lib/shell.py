"""Running commands, in a namespace or outside, and saying so."""
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .settings import PATIENCE, PREFIX


class Failure(Exception):
    """A scenario's expectation that was not met, or a machine that did not do its part."""


class Journal:
    """What the runner prints: steps always, commands when asked to; all of it into the case's own file too."""
    verbose = False
    file = None

    @classmethod
    def line(cls, text, show=True):
        if show:
            print(text, flush=True)
        if cls.file:
            cls.file.write(f"{time.strftime('%H:%M:%S')} {text}\n")
            cls.file.flush()


def step(text):
    Journal.line(f"    {text}")


def namespaced(command, namespace):
    return ["ip", "netns", "exec", f"{PREFIX}-{namespace}", *command] if namespace else list(command)


def run(*command, namespace=None, check=True, stdin=None, timeout=120):
    """Runs a command to its end and returns it with its output as text."""
    command = namespaced([str(word) for word in command], namespace)
    Journal.line("      $ " + " ".join(command), Journal.verbose)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout * PATIENCE)
    if check and done.returncode:
        raise Failure(f"{' '.join(command)}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done


def cpu_seconds(session):
    """CPU time that the processes of a session have used so far, in user and kernel mode."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == session:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def spawn(*command, namespace=None, output=subprocess.DEVNULL, env=None):
    """Starts a command in a session of its own, so that all its processes end together."""
    command = namespaced([str(word) for word in command], namespace)
    Journal.line("      $ " + " ".join(command) + " &", Journal.verbose)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                            env={**os.environ, **env} if env else None)


def end(process, how=signal.SIGKILL, timeout=10):
    """Signals a process started by spawn() and everything it started; returns its exit status."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    try:
        return process.wait(timeout * PATIENCE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def wait_for(condition, timeout, what, every=0.05):
    """Polls until condition() returns something true, which it returns."""
    until = time.monotonic() + timeout * PATIENCE
    while not (result := condition()):
        if time.monotonic() > until:
            raise Failure(f"waited {timeout * PATIENCE:.0f} s in vain: {what}")
        time.sleep(every)
    return result


def die(text):
    sys.exit(f"interop: {text}")
