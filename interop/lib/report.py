"""The dated table of results: results.json, from it RESULTS.md, and a table of clients in README.md between its two markers."""
import json
import platform
import re
import statistics
import time

from . import roots
from .settings import INTEROP, REPOSITORY
from .shell import run

KEPT = INTEROP / "results.json"
USUAL = ["strongSwan (ipsec.conf) + xl2tpd"]
CLIENTS = {  # label -> packages whose versions are shown
    "strongSwan (ipsec.conf) + xl2tpd": ("strongswan-charon", "xl2tpd", "ppp"),
    "strongSwan (swanctl) + xl2tpd": ("strongswan-charon", "xl2tpd", "ppp"),
    "libreswan + xl2tpd": ("libreswan", "xl2tpd", "ppp"),
    "NetworkManager-l2tp's configuration": ("strongswan-charon", "xl2tpd", "ppp"),
    "xl2tpd without IPsec": ("xl2tpd", "ppp"),
}


def environment(peer):
    kernel = run("linux.uml", "--version", check=False).stdout.strip()
    return f"{peer.version()}, clients' kernel {kernel} (User-Mode Linux), host kernel {platform.release()}"


def rows_of(results, build):
    """One row a scenario, however often it ran; what is said of it is from its last run, or from the last that failed."""
    rows = {}
    for name in dict.fromkeys(result.name for result in results):
        runs = [result for result in results if result.name == name]
        bad = [result for result in runs if not result.passed]
        rows[name] = {"passed": len(runs) - len(bad), "runs": len(runs), "seconds": round(statistics.median(run.seconds for run in runs)),
                      "notes": clean(bad[-1].reason if bad else "; ".join(runs[-1].notes)), "date": time.strftime("%Y-%m-%d"), "build": build}
    return rows


def table(rows):
    lines = ["| scenario | passed | seconds | date, build | notes |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        passed = f"{row['passed']} of {row['runs']}"
        passed = passed if row["passed"] == row["runs"] else f"**{passed}**"
        lines.append(f"| {name} | {passed} | {row['seconds']} | {row['date']}, {row['build']} | {row['notes']} |")
    return "\n".join(lines)


def clean(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|")[:300]


def client_table(rows, labels):
    """labels: {scenario: [client labels]}"""
    versions = roots.versions()
    lines = ["| client | versions | passed | failed |", "|---|---|---|---|"]
    for label, packages in CLIENTS.items():
        with_it = [name for name in rows if label in labels[name]]
        good = [name for name in with_it if rows[name]["passed"] == rows[name]["runs"]]
        bad = [name for name in with_it if name not in good]
        shown = ", ".join(f"{package} {versions[package]}" for package in packages if package in versions)
        lines.append(f"| {label} | {shown} | {', '.join(sorted(good)) or 'not run'} | {', '.join(sorted(bad)) or 'none'} |")
    return "\n".join(lines)


def build_of(peer):
    return run("git", "-C", REPOSITORY, "describe", "--always", "--dirty", check=False).stdout.strip() if peer.name == "sekisho" else ""


def write(results, labels, peer, afresh):
    """Keeps the results: `afresh` of a complete run, else in the place of what was known of the same scenarios."""
    known = {} if afresh or not KEPT.exists() else json.loads(KEPT.read_text())
    rows = {name: row for name, row in sorted({**known, **rows_of(results, build_of(peer))}.items()) if name in labels}
    KEPT.write_text(json.dumps(rows, indent=1) + "\n")
    runs, passed = (sum(row[key] for row in rows.values()) for key in ("runs", "passed"))
    heading = f"{time.strftime('%Y-%m-%d')}: {passed} of {runs} runs of {len(rows)} scenarios passed. {environment(peer)}."
    (INTEROP / "RESULTS.md").write_text(f"# Results of the interop scenarios\n\nWritten by the runner. {heading}\n\n{table(rows)}\n")
    readme = INTEROP / "README.md"
    text = readme.read_text()
    begin, finish = "<!-- results -->", "<!-- end of results -->"
    head, tail = text.index(begin) + len(begin), text.index(finish)
    readme.write_text(f"{text[:head]}\n{heading}\n\n{client_table(rows, labels)}\n{text[tail:]}")
