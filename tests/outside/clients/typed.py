"""`vcf-nsx`, the typed client of NSX's makers, does all there is to do with each object type in use.

    python typed.py --url URL --control URL --ca FILE --username NAME --password WORD

Each row of objects.json is created, read, listed, searched for, updated with and without the right revision, and
deleted; then all of them are made and taken away by one hierarchical call each. Every answer is decoded by the types:
a field they do not know is a fault of the server. Prints `{"done": {path: [verb]}, "faults": [text]}`.
"""

import importlib
import json
import re
import sys

import manager as managers
import schema as schemas
import vendor_types
from vcf.nsx import model_client
from vcf.nsx.policy.api import v1_client
from vcf.nsx.policy.api.v1 import search_client
from vmware.vapi.stdlib.client.factories import StubConfigurationFactory
from vmware.vapi.bindings.struct import VapiStruct
from vmware.vapi.data.serializers.cleanjson import DataValueConverter
from vmware.vapi.lib.connect import get_requests_connector

POLICY = managers.POLICY
SCHEMA = schemas.Schema()


class Service:
    """The generated service of a collection, its operations found by verb and path."""

    def __init__(self, configuration, path):
        parts = path.strip("/").split("/")
        # infra, then collection and id in turn.
        self.ids = parts[2::2]
        names = [part.replace("-", "_") for part in [parts[0], *parts[1::2]]]
        module = importlib.import_module(f"vcf.nsx.policy.api.v1.{'.'.join(names[:-1])}_client")
        name = "".join(word.capitalize() for word in names[-1].split("_"))
        self._api = getattr(module, name)(configuration)
        self.one = re.compile(POLICY + "/infra" + "".join(f"/{c}/[^/]+" for c in parts[1::2]))
        self.many = re.compile(self.one.pattern.removesuffix("/[^/]+"))

    def call(self, verb, *values, many=False):
        """Calls the operation of a verb; the path's ids come first, as in all generated signatures."""
        wanted = self.many if many else self.one
        stub = self._api._api_interface
        found = [
            name
            for name, rest in stub._rest_metadata.items()
            # The same path with `?force=true` is an operation of its own.
            if rest.http_method == verb and wanted.fullmatch(rest._url_template) and not rest._dispatch_parameters
        ]
        if len(found) != 1:
            raise LookupError(f"{verb} {wanted.pattern}: operations {found}")
        ids = self.ids[:-1] if many else self.ids
        return getattr(self._api, found[0])(*ids, *values)


class Typed:
    """The client."""

    def __init__(self, manager):
        self.manager = manager
        self.session = manager.session()
        connector = get_requests_connector(self.session, msg_protocol="rest", url=manager.url)
        self.configuration = StubConfigurationFactory.new_std_configuration(connector)

    def service(self, row):
        """The service of a row's collection."""
        return Service(self.configuration, row["path"])

    def raw(self, path):
        """The body that the server really sends."""
        answer = self.session.get(self.manager.url + POLICY + path, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def create(self, row):
        """PATCH of a typed object."""
        self.service(row).call("PATCH", value_of(row, row["body"]))

    def read(self, row, body=None):
        """GET: what was declared is there, and the answer has nothing the type does not know."""
        read = self.service(row).call("GET")
        raw = self.raw(row["path"])
        missing = managers.differences(body or row["body"], raw)
        wrong = [] if read.path == row["path"] else [f"path {read.path}"]
        return missing + wrong + vendor_types.faults(row["kind"], raw)

    def list(self, row):
        """The object is among its collection's; the result's type has it all."""
        result = self.service(row).call("GET", many=True)
        paths = [dict_of(item).get("path") for item in result.results]
        count = [] if result.result_count == len(paths) else [f"{result.result_count} counted, {len(paths)} listed"]
        return count + ([] if row["path"] in paths else [f"listed are {paths}"])

    def search(self, row):
        """The search finds it and nothing else."""
        query = search_client.Query(self.configuration)
        result = query.lm_policy_query_search(query=managers.search_for(row))
        found = [dict_of(item).get("path") for item in result.results]
        return [] if found == [row["path"]] else [f"found are {found}"]

    def update(self, row):
        """PUT of what was read with a change: the revision rises, and the old one is refused."""
        service = self.service(row)
        before = self.raw(row["path"])
        changed = value_of(row, {**before, **row["change"]})
        after = service.call("PUT", changed)
        faults = managers.differences({**row["body"], **row["change"]}, self.raw(row["path"]))
        if revision_of(after) != before["_revision"] + 1:
            faults.append(f"revision {before['_revision']} became {revision_of(after)}")
        return faults + refused(lambda: service.call("PUT", changed), 412)

    def delete(self, row):
        """DELETE; then it is not found."""
        service = self.service(row)
        service.call("DELETE")
        return refused(lambda: service.call("GET"), 404)

    def patch_tree(self, rows, gone=False):
        """All rows in one hierarchical call, made of typed wrappers."""
        tree = vendor_types.decode(model_client.Infra, tree_of(rows, gone))
        v1_client.Infra(self.configuration).policy_patch_infra(tree)


def value_of(row, body):
    """A body as a value of the row's type."""
    return vendor_types.decode(getattr(model_client, row["kind"]), {**body, "resource_type": row["kind"]})


def dict_of(item):
    """An item of a result, whose type is often not told statically."""
    return item.to_dict() if isinstance(item, VapiStruct) else item


def revision_of(item):
    """The revision of a value, typed or not."""
    return dict_of(item).get("_revision")


def refused(work, status):
    """Demands that the server refuses with a status and a body of its own kind."""
    try:
        work()
    except model_client.ApiError as error:
        told = told_by(error)
        known = {400: "BAD_REQUEST", 404: "NOT_FOUND", 412: "PRECONDITION_FAILED"}[status]
        return [] if told.get("httpStatus") == known and told.get("error_message") else [f"refused with {told}"]
    return [f"not refused with {status}"]


def told_by(error):
    """What the server said."""
    return json.loads(DataValueConverter.convert_to_json(error.get_struct_value()))


def words(error):
    """An error for a person."""
    return json.dumps(told_by(error)) if isinstance(error, model_client.ApiError) else str(error)


def tree_of(rows, gone):
    """The hierarchical body of rows: wrappers of what is made or taken away, references on the way there."""
    root = {"resource_type": "Infra", "children": []}
    nodes = {"/infra": root}
    for row in rows:
        kind = SCHEMA.kind_at(row["path"])
        thing = {"resource_type": row["kind"], "id": row["path"].rsplit("/", 1)[1]}
        thing.update({"marked_for_delete": True} if gone else row["body"])
        wrapper = {"resource_type": f"Child{kind}", "marked_for_delete": gone, kind: thing}
        parent_of(nodes, row["path"])["children"].append(wrapper)
        thing["children"] = []
        nodes[row["path"]] = thing
    return pruned(root)


def parent_of(nodes, path):
    """The node that a path hangs below; references are made for what is only passed through."""
    above = path.rsplit("/", 2)[0]
    if above not in nodes:
        node = {"resource_type": "ChildResourceReference", "target_type": SCHEMA.kind_at(above), "children": []}
        node["id"] = above.rsplit("/", 1)[1]
        parent_of(nodes, above)["children"].append(node)
        nodes[above] = node
    return nodes[above]


def pruned(node):
    """Without lists of children that are empty."""
    if isinstance(node, dict):
        return {name: pruned(value) for name, value in node.items() if name != "children" or value}
    return [pruned(item) for item in node] if isinstance(node, list) else node


def main():
    manager = managers.Manager(managers.arguments(__doc__.splitlines()[0]))
    managers.at_once(manager)
    client, rows, story = Typed(manager), managers.objects(), managers.Story(words)
    before = sorted(manager.dump())
    for row in rows:
        for verb in ("create", "read", "list", "search", "update"):
            story.step(row, verb, lambda row=row, verb=verb: getattr(client, verb)(row))
    for row in reversed(rows):
        story.step(row, "delete", lambda row=row: client.delete(row))
    everything = {"path": "/infra"}
    story.step(everything, "create-tree", lambda: client.patch_tree(rows))
    for row in rows:
        story.step(row, "read-tree", lambda row=row: client.read(row))
    story.step(everything, "delete-tree", lambda: client.patch_tree(rows, gone=True))
    left = sorted(set(manager.dump()) ^ set(before))
    story.step(everything, "leave nothing", lambda: [f"left: {left}"] if left else [])
    return story.tell()


if __name__ == "__main__":
    sys.exit(main())
