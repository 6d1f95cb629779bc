"""Holds recorded NSX calls against the vendor's types and the type facts.

    python bodies.py [--client PREFIX] FILE...

Each FILE has a JSON object a line: `client`, `method`, `path`, `body`. Prints one JSON object:
`{"calls", "bodies", "types": {name: n}, "faults": [{"call", "by", "fault"}]}`; ends with 1 if there are faults.
"""

import argparse
import json
import sys
from collections import Counter

import schema
import vendor_types

POLICY = "/policy/api/v1"
OPERATOR = "vic-operator/"


class Checker:
    """Both checks, and what they have seen."""

    def __init__(self):
        self.schema = schema.Schema()
        self.types = Counter()

    def faults(self, method, path, body, carried=False):
        """Pairs of who objects and why; `carried`: the body may hold what was read, with all that the server wrote."""
        kind = self.schema.body_type(method, path)
        if kind is None:
            return [("schema", f"no call {method} {path} with a body is known")]
        self._count(kind, body)
        by_types = [("types", fault) for fault in vendor_types.faults(kind, body)]
        by_facts = [("schema", fault) for fault in self.schema.faults(kind, body)]
        if carried:
            by_facts = [pair for pair in by_facts if not pair[1].endswith(schema.READ_ONLY)]
        return by_types + by_facts

    def _count(self, kind, body):
        """Counts the objects of a body by type."""
        self.types[kind] += 1
        for value in body.values() if isinstance(body, dict) else ():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    self._count(str(item.get("resource_type", "object")), item)


def check(files, client=""):
    """The report on all calls of these files that clients of this name sent."""
    checker = Checker()
    calls, seen, faults = 0, set(), []
    for name in files:
        with open(name, encoding="utf-8") as lines:
            for line in lines:
                call = json.loads(line)
                if not call["client"].startswith(client):
                    continue
                calls += 1
                where = f"{call['method']} {call['path']}"
                # The same body again costs nothing.
                key = (where, json.dumps(call["body"], sort_keys=True))
                if key in seen:
                    continue
                seen.add(key)
                path = call["path"].removeprefix(POLICY)
                # Other clients put back what they read, and NSX passes over it; the operator shall not.
                carried = call["method"] == "PUT" and not call["client"].startswith(OPERATOR)
                for by, fault in checker.faults(call["method"], path, call["body"], carried):
                    faults.append({"call": where, "by": by, "fault": fault})
    return {"calls": calls, "bodies": len(seen), "types": dict(sorted(checker.types.items())), "faults": faults}


def main():
    arguments = argparse.ArgumentParser(description="Holds recorded NSX calls against the vendor's types.")
    arguments.add_argument("--client", default="", help="only calls whose User-Agent begins so")
    arguments.add_argument("files", nargs="*")
    given = arguments.parse_args()
    report = check(given.files, given.client)
    json.dump(report, sys.stdout, indent=1)
    print()
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
