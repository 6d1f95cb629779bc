"""Spoils one thing at a time in bodies that are good, and demands that the check and the manager both refuse them.

    python mutants.py --url URL --control URL --ca FILE --username NAME --password WORD

The bodies are hierarchical calls, one for each row of objects.json. What can be spoilt follows from the type facts, so
that a row added there brings its mutants with it; what no rule gives is in WRONG_CHILDREN. Prints
`{"mutants": {what: n}, "by": {"types": n, "schema": n}, "faults": [text]}`: a fault is a mutant that somebody takes.
"""

import copy
import json
import sys
from collections import Counter

import bodies
import manager as managers
import schema as schemas
import typed

# What each kind of value is replaced with.
OTHER_KIND = {"string": 7, "integer": "7", "number": "7", "boolean": "true", "array": "x", "object": "x"}
SEGMENT = {"resource_type": "ChildSegment", "Segment": {"resource_type": "Segment", "id": "stray"}}
RULE = {"resource_type": "ChildRule", "Rule": {"resource_type": "Rule", "id": "stray", "action": "ALLOW"}}
# Appended to the children of the root, of which each is one too many.
WRONG_CHILDREN = {
    "a wrapper of no type": {"resource_type": "ChildNonsense", "Nonsense": {"id": "stray"}},
    "a wrapper with another type in it": {**SEGMENT, "resource_type": "ChildTier1"},
    "a wrapper with nothing in it": {"resource_type": "ChildSegment"},
    "a wrapper with two types in it": {**SEGMENT, "Tier1": {"resource_type": "Tier1", "id": "stray"}},
    "a type in no wrapper": {"resource_type": "Segment", "id": "stray"},
    "a child of another parent": RULE,
    "a child of another parent behind a reference": {
        "resource_type": "ChildResourceReference",
        "target_type": "Domain",
        "id": "default",
        "children": [SEGMENT],
    },
    "a reference to a type that is not there": {
        "resource_type": "ChildResourceReference",
        "target_type": "PolicyNat",
        "id": "USER",
        "children": [],
    },
    "a reference without its type": {"resource_type": "ChildResourceReference", "id": "vic-edge", "children": []},
    "an object that says it is another": {
        "resource_type": "ChildSegment",
        "Segment": {"resource_type": "Tier1", "id": "stray"},
    },
    "a deletion of another parent's child": {**RULE, "marked_for_delete": True},
    "a child that is no object": "ChildSegment",
}


class Spoiler:
    """Finds what can be spoilt."""

    def __init__(self, schema):
        self.schema = schema

    def mutants(self, kind, node, at=()):
        """Pairs of a name and a change: (where, field, value), or without a value where the field goes."""
        concrete = self.schema.concrete(kind, node)
        fields = self.schema.types[concrete]["fields"]
        yield "an unknown field", (at, "no_such_field", 1)
        for name, value in node.items():
            field = fields[name]
            yield from self._value(field, name, value, at)
            items = value if isinstance(value, list) else [value]
            target = field.get("$ref") or field.get("items", {}).get("$ref")
            for position, item in enumerate(items):
                if target and isinstance(item, dict):
                    here = (*at, name, position) if isinstance(value, list) else (*at, name)
                    yield from self.mutants(target, item, here)
        for name, field in fields.items():
            if field.get("required") and name in node:
                yield "a required field gone", (at, name)

    def _value(self, field, name, value, at):
        """What can be wrong with one field."""
        element = field.get("items", {}) if isinstance(value, list) else field
        wrap = (lambda wrong: [wrong]) if isinstance(value, list) else (lambda wrong: wrong)
        if field.get("type") in OTHER_KIND:
            yield "another kind of value", (at, name, OTHER_KIND[field["type"]])
        if element.get("type") in OTHER_KIND and element is not field:
            yield "another kind of element", (at, name, wrap(OTHER_KIND[element["type"]]))
        if "enum" in element:
            yield "a value that is not of the enumeration", (at, name, wrap("NO_SUCH_VALUE"))
        if "maxLength" in element:
            yield "a text too long", (at, name, wrap("x" * (element["maxLength"] + 1)))
        if element.get("format") in schemas.FORMATS:
            yield "a text of another format", (at, name, wrap("no such format"))
        if "max" in element or element.get("format") == "int32":
            yield "a number too large", (at, name, wrap(element.get("max", schemas.INT32[1]) + 1))
        if "min" in element:
            yield "a number too small", (at, name, wrap(element["min"] - 1))
        if field.get("minItems", 0) > 0:
            yield "a list too short", (at, name, [])
        if "maxItems" in field:
            many = [{"scope": str(i), "tag": "x"} for i in range(field["maxItems"] + 1)]
            items = many if name == "tags" else value[:1] * (field["maxItems"] + 1)
            yield "a list too long", (at, name, items)


def spoilt(body, change):
    """A copy of the body with one change."""
    where, name, *value = change
    copied = copy.deepcopy(body)
    node = copied
    for step in where:
        node = node[step]
    if value:
        node[name] = value[0]
    else:
        del node[name]
    return copied


def mutants_of(schema, body):
    """Every mutant of a hierarchical body: its name, where it is spoilt, and the whole."""
    for name, change in Spoiler(schema).mutants("Infra", body):
        where = ".".join(map(str, (*change[0], change[1])))
        yield name, where, spoilt(body, change)


def strays(body):
    """The body with one child too many."""
    for name, child in WRONG_CHILDREN.items():
        yield name, "children", {**body, "children": [*body["children"], child]}


class Trial:
    """Who takes and who refuses what."""

    def __init__(self, manager):
        self.session, self.checker = manager.session(), bodies.Checker()
        self.url = f"{manager.url}{managers.POLICY}/infra"
        self.faults, self.counted, self.refused_by = [], Counter(), Counter()

    def send(self, body):
        """The manager's answer."""
        return self.session.patch(self.url, json=body, timeout=30)

    def take(self, body):
        """A good body is taken by both."""
        self.faults += [f"the good body is refused: {why}" for _, why in self.checker.faults("PATCH", "/infra", body)]
        answer = self.send(body)
        if answer.status_code != 200:
            self.faults.append(f"the manager refuses the good body: {answer.text}")

    def refuse(self, name, where, body):
        """A mutant is refused by both."""
        self.counted[name] += 1
        by = {who for who, _ in self.checker.faults("PATCH", "/infra", body)}
        self.refused_by.update(by)
        if not by:
            self.faults.append(f"the check takes {name} at {where}")
        status = self.send(body).status_code
        if status != 400:
            self.faults.append(f"the manager answers {status} to {name} at {where}")


def main():
    manager = managers.Manager(managers.arguments(__doc__.splitlines()[0]))
    managers.at_once(manager)
    trial, rows = Trial(manager), managers.objects()
    # Each row alone is good once what it refers to is there.
    good = [typed.tree_of([row], False) for row in rows]
    for body in [typed.tree_of(rows, False), *good]:
        trial.take(body)
    before = manager.dump()
    for body in good:
        for mutant in mutants_of(trial.checker.schema, body):
            trial.refuse(*mutant)
    for mutant in strays(good[0]):
        trial.refuse(*mutant)
    if manager.dump() != before:
        trial.faults.append("a refused body changed something")
    print(json.dumps({"mutants": trial.counted, "by": trial.refused_by, "faults": trial.faults}, indent=1))
    return 1 if trial.faults else 0


if __name__ == "__main__":
    sys.exit(main())
