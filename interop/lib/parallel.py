"""Several scenarios at a time: each in a run of its own, with a prefix of its own."""
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from . import settings
from .shell import Journal


def run_all(tasks, jobs, flags, result_type):
    """Runs `tasks`, a list of (case, alone), with at most `jobs` at a time; those that must be alone come last, one by one.
    Returns their results in the order of the tasks."""
    results, crowd, alone = {}, [], []
    for index, (case, by_itself) in enumerate(tasks):
        (alone if by_itself else crowd).append((index, case))
    lock = threading.Lock()
    crowd.reverse()

    def worker(number):
        while True:
            with lock:
                if not crowd:
                    return
                index, case = crowd.pop()
            result = run_one(case, f"{settings.PREFIX}{number}", flags, result_type)
            with lock:
                results[index] = result
                show(result)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(1, jobs + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, case in alone:
        results[index] = run_one(case, f"{settings.PREFIX}1", flags, result_type)
        show(results[index])
    return [results[index] for index in range(len(tasks))]


def run_one(case, prefix, flags, result_type):
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "result.json"
        log = settings.WORK / "runs" / prefix / f"{case.name}.out"
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w") as out:
            command = [sys.executable, settings.INTEROP / "run", case.name, *flags, "--result", answer]
            subprocess.run(command, env={**os.environ, "SEKISHO_RIG": prefix}, stdout=out, stderr=out, check=False)
        if not answer.exists():
            return result_type(case.name, False, 0, [], f"the run ended without a result: see {log.name}")
        return result_type(*json.loads(answer.read_text()))


def show(result):
    Journal.line(f"{'PASS' if result.passed else 'FAIL'} {result.name} ({result.seconds:.0f} s)" + (f": {result.reason}" if result.reason else ""))
