"""The manager that a program is pointed at, its control port, and the table of what is done with it."""

import argparse
import json
import os
import pathlib
import re

import requests

# `requests` prefers these to what a program asks for; managers here are on loopback and have an authority of their own.
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(name, None)

HERE = pathlib.Path(__file__).resolve().parent
POLICY = "/policy/api/v1"


class Manager:
    """An NSX manager: where it is and who may log in."""

    def __init__(self, given):
        self.url, self.ca = given.url, given.ca
        self.username, self.password = given.username, given.password
        self.control = given.control

    def session(self):
        """A session of `requests` that trusts the manager and logs in with each call."""
        session = requests.Session()
        session.verify, session.auth = self.ca, (self.username, self.password)
        return session

    def tune(self, **knobs):
        """Turns the simulator's knobs."""
        requests.post(f"{self.control}/tune", json=knobs, timeout=10).raise_for_status()

    def dump(self):
        """All that the simulator holds as intents, without what it counts."""
        return requests.get(f"{self.control}/dump", timeout=10).json()["intents"]


def arguments(description):
    """The command line of all programs that talk to a manager."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("url", "control", "ca", "username", "password"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def at_once(manager):
    """Lets everything happen at once: clients of this kind do not wait for an index."""
    manager.tune(realization_delay_ms=0, deletion_delay_ms=0, search_delay_ms=0, port_delay_ms=0, rate_limit=0)


def objects():
    """The table of object types in use, parents and what is referred to first."""
    return json.loads((HERE / "objects.json").read_text(encoding="utf-8"))


def search_for(row):
    """A query that finds the object of a row of the table."""
    path = re.sub(r"([/:-])", r"\\\1", row["path"])
    return f"resource_type:{row['kind']} AND path:{path}"


def differences(declared, shown, at=""):
    """What of a declared body is not shown by the manager; it may show more."""
    if isinstance(declared, list) and isinstance(shown, list):
        declared, shown = by_id(declared), by_id(shown)
    if isinstance(declared, dict) and isinstance(shown, dict):
        return [d for name in declared for d in differences(declared[name], shown.get(name), f"{at}.{name}")]
    if isinstance(declared, list) and isinstance(shown, list) and len(declared) == len(shown):
        return [d for i, pair in enumerate(zip(declared, shown, strict=True)) for d in differences(*pair, f"{at}[{i}]")]
    return [] if declared == shown else [f"{at}: {json.dumps(declared)} is shown as {json.dumps(shown)}"]


def by_id(items):
    """Members that have ids, by id: they are shown in any order, and beside others."""
    has_ids = bool(items) and all(isinstance(item, dict) and "id" in item for item in items)
    return {item["id"]: item for item in items} if has_ids else items


class Story:
    """What was done and what went wrong."""

    def __init__(self, tell=str):
        self.done, self.faults, self._tell = {}, [], tell

    def step(self, row, verb, work):
        """Does something with an object; what it raises or returns as faults is told with the object's path."""
        try:
            found = work() or []
        except Exception as error:  # whatever a client raises is told
            found = [f"{type(error).__name__}: {self._tell(error).strip()[:600]}"]
        self.faults += [f"{verb} {row['path']}: {fault}" for fault in found]
        if not found:
            self.done.setdefault(row["path"], []).append(verb)

    def tell(self):
        """Prints the report; the exit status."""
        print(json.dumps({"done": self.done, "faults": self.faults}, indent=1))
        return 1 if self.faults else 0
