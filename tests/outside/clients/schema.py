"""What NSX's type facts say of a body: fields, kinds, enumerations, bounds, and what may hang below what.

A reading of its own of the facts that nsxsim embeds: the simulator's code is not used here.
"""

import ipaddress
import json
import pathlib
import re

FACTS = pathlib.Path(__file__).resolve().parents[2] / "nsxsim/fixtures/nsx-schema.json"
POLICY = "/policy/api/v1"
PROJECT = re.compile(r"^/orgs/[^/]+/projects/[^/]+(?=/infra)")
INT32 = (-(2**31), 2**31 - 1)
# NSX's hierarchical calls mark an object that goes on the object too, though only the server writes that field.
WRITABLE = {"marked_for_delete"}
READ_ONLY = "only the server writes this field"


class Schema:
    """The facts, by type and by path."""

    def __init__(self, facts=FACTS):
        read = json.loads(pathlib.Path(facts).read_text(encoding="utf-8"))
        self.types = read["types"]
        self._templates = [(o["method"], pattern(o["path"].removeprefix(POLICY)), o) for o in read["operations"]]
        self._kinds = kinds_by_path(read["operations"])
        self._below = hierarchy(self._kinds)

    def body_type(self, method, path):
        """The type of the body that a call takes; None where the facts know no such call."""
        path = PROJECT.sub("", path)
        for known, template, operation in self._templates:
            if known == method and template.fullmatch(path):
                return operation.get("body")
        return None

    def kind_at(self, path):
        """The type of the objects at a path, the base where several can stand there."""
        parts = PROJECT.sub("", path).split("/")
        return self._kinds["/".join("*" if at > 1 and at % 2 else part for at, part in enumerate(parts))]

    def faults(self, kind, body, at="", part=False):
        """What is wrong with a body of a type; `part`: a deletion names the object only, nothing is required."""
        return list(self._object(kind, body, at, part)) + list(self._tree(kind, body, at))

    def concrete(self, kind, body):
        """The type that a value says it is of, where its field admits several."""
        facts = self.types[kind]
        key = facts.get("discriminator")
        if not facts.get("subtypes") or not key:
            return kind
        named = body.get(key)
        return named if named in facts["subtypes"] else None

    def _object(self, kind, body, at, part):
        if not isinstance(body, dict):
            yield f"{at}: no object but {json.dumps(body)}"
            return
        if kind not in self.types:
            yield f"{at}: the facts do not know type {kind}"
            return
        concrete = self.concrete(kind, body)
        if concrete is None:
            yield f"{at}: {body.get(self.types[kind]['discriminator'])} is no {kind}"
            return
        fields = self.types[concrete]["fields"]
        named = body.get("resource_type", concrete)
        if "resource_type" in fields and named != concrete:
            yield f"{at}.resource_type: {named} where {concrete} is expected"
        gone = part or (concrete.startswith("Child") and body.get("marked_for_delete") is True)
        for name, value in body.items():
            here = f"{at}.{name}"
            field = fields.get(name)
            if field is None:
                yield f"{here}: {concrete} has no such field"
            elif field.get("readOnly") and name not in WRITABLE:
                yield f"{here}: {READ_ONLY}"
            else:
                yield from self._value(field, value, here, gone)
        for name, field in fields.items():
            is_wrapped = concrete.startswith("Child") and field.get("$ref") == concrete.removeprefix("Child")
            if field.get("required") and name not in body and (not part or is_wrapped):
                yield f"{at}.{name}: required"

    def _value(self, field, value, at, part):
        if "enum" in field and value not in field["enum"]:
            yield f"{at}: {json.dumps(value)} is none of {', '.join(map(str, field['enum']))}"
            return
        if "$ref" in field:
            yield from self._object(field["$ref"], value, at, part)
            return
        kind = field.get("type")
        kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
        is_kind = kind is None or (isinstance(value, kinds[kind]) and (kind == "boolean") == isinstance(value, bool))
        if not is_kind:
            yield f"{at}: {json.dumps(value)} is no {kind}"
        elif kind == "string":
            yield from text(field, value, at)
        elif kind in ("integer", "number"):
            yield from number(field, value, at)
        elif kind == "array":
            yield from self._list(field, value, at, part)

    def _list(self, field, items, at, part):
        if not field.get("minItems", 0) <= len(items) <= field.get("maxItems", len(items)):
            yield f"{at}: {len(items)} elements"
        if field.get("uniqueItems") and len({json.dumps(i, sort_keys=True) for i in items}) < len(items):
            yield f"{at}: an element twice"
        for position, item in enumerate(items):
            yield from self._value(field.get("items", {}), item, f"{at}[{position}]", part)

    def _tree(self, kind, body, at):
        """Children hang below a parent that has such children, each in the wrapper of its own type."""
        children = body.get("children") if isinstance(body, dict) else None
        for position, child in enumerate(children if isinstance(children, list) else []):
            if not isinstance(child, dict):
                continue
            here = f"{at}.children[{position}]"
            wrapper = str(child.get("resource_type"))
            is_reference = wrapper == "ChildResourceReference"
            below = child.get("target_type") if is_reference else wrapper.removeprefix("Child")
            if below not in self._below.get(kind, ()):
                yield f"{here}: {kind} has no children of type {below}"
            elif is_reference:
                yield from self._tree(below, child, here)
            elif isinstance(child.get(below), dict):
                yield from self._tree(below, child[below], f"{here}.{below}")


def kinds_by_path(operations):
    """Types by the paths of their objects, with `*` for each id."""
    kinds = {"/infra": "Infra"}
    for operation in operations:
        path = operation["path"].removeprefix(POLICY)
        kind = operation.get("body") if operation["method"] in ("PUT", "PATCH") else operation.get("result")
        if kind and path.endswith("}"):
            kinds.setdefault(template_of(path), kind)
    # The sections of a gateway's NAT have no operation of their own.
    for path in [p for p in kinds if p.endswith("/nat/*/nat-rules/*")]:
        kinds[path.removesuffix("/nat-rules/*")] = "PolicyNat"
    return kinds


def hierarchy(kinds):
    """Which types hang below which: the type at `/a/*/b/*` below the one at `/a/*`."""
    below = {}
    for path, kind in kinds.items():
        parent = kinds.get(path.rsplit("/", 2)[0])
        if parent:
            below.setdefault(parent, set()).add(kind)
    # Two roots hang below others without a collection between.
    below.setdefault("OrgRoot", set()).add("Org")
    below.setdefault("Project", set()).add("Infra")
    return below


def template_of(path):
    """The path with `*` for each id."""
    return re.sub(r"\{[^}]*\}", "*", path)


def pattern(path):
    """A template as an expression that paths are held against."""
    parts = ("[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/"))
    return re.compile("/".join(parts))


def text(field, value, at):
    """Bounds and format of a text."""
    if not field.get("minLength", 0) <= len(value) <= field.get("maxLength", len(value)):
        yield f"{at}: {len(value)} characters"
    holds = FORMATS.get(field.get("format"))
    if holds and not attempt(holds, value):
        yield f"{at}: {value!r} is no {field['format']}"


def number(field, value, at):
    """Bounds of a number."""
    low, high = INT32 if field.get("format") == "int32" else (None, None)
    low, high = field.get("min", low), field.get("max", high)
    if (low is not None and value < low) or (high is not None and value > high):
        yield f"{at}: {value} is out of bounds"


def attempt(holds, value):
    """Whether a format holds; what cannot be parsed does not."""
    try:
        return bool(holds(value))
    except ValueError:
        return False


def is_block(value):
    """An address with a prefix length."""
    return "/" in value and ipaddress.ip_interface(value)


def is_span(value):
    """An address, a block, or a range of addresses."""
    if "-" in value:
        first, last = map(ipaddress.ip_address, value.split("-"))
        return first.version == last.version and first <= last
    return ipaddress.ip_interface(value)


def is_port(value):
    """A port or a range of ports."""
    first, _, last = value.partition("-")
    return 0 <= int(first) <= int(last or first) <= 65535


FORMATS = {
    "ip": ipaddress.ip_address,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "ip-cidr-block": is_block,
    "ipv4-cidr-block": lambda value: "/" in value and ipaddress.IPv4Interface(value),
    "address-or-block-or-range": is_span,
    "list-of-address-or-block-or-range": lambda value: all(map(is_span, value.split(","))),
    "port-or-range": is_port,
    "mac-address": re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}").fullmatch,
    "hostname": re.compile(r"\S{1,255}").fullmatch,
}
