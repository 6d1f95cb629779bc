"""`vmware-nsxlib`, the library below NSX's container and OpenStack plugins, does what it can with each object type.

    python nsxlib.py --url URL --control URL --ca FILE --username NAME --password WORD

Each row of ROWS is created, read, listed, searched for, updated (by partial patches, as this library does) and deleted.
Prints `{"done": {path: [verb]}, "faults": [text]}`.
"""

import sys

import manager as managers
from vmware_nsxlib.v3 import config as configs
from vmware_nsxlib.v3 import exceptions
from vmware_nsxlib.v3 import policy as policies

POINT = "/infra/sites/default/enforcement-points/default"
T1, DOMAIN, GROUP = "lib", "default", "/infra/domains/default/groups/lib"
TAGS = [{"scope": "lib", "tag": "one"}]


class Row:
    """One object: where it is, and the library's calls for it."""

    def __init__(self, kind, path, api, ids, **calls):
        self.row = {"kind": kind, "path": path}
        self.api, self.ids = api, ids
        # What the calls are named where they are not named as usual; None where the library has no such call.
        self.create = calls["create"]
        self.change = calls.get("change", {"description": "another"})
        # Whether the library writes the object whole: then what the call does not name is gone.
        self.whole = calls.get("whole", False)
        self.names = {"get": "get", "list": "list", "delete": "delete", "update": "update", **calls.get("names", {})}

    def call(self, name, *arguments, **values):
        """Calls the library."""
        return getattr(self.api, self.names[name])(*arguments, **values)


def rows(lib):
    """The table; parents and what is referred to first."""
    for theme in (networks, services_and_groups, firewalls, addresses):
        yield from theme(lib)


def networks(lib):
    """A gateway, a segment and what serves DHCP."""
    dhcp = lib.segment.build_dhcp_config_v4("10.61.0.2/24", dns_servers=["10.20.0.53"], lease_time=3600)
    subnet = lib.segment.build_subnet("10.61.0.1/24", dhcp_ranges=["10.61.0.11-10.61.0.99"], dhcp_config=dhcp)
    yield Row(
        "Tier1",
        f"/infra/tier-1s/{T1}",
        lib.tier1,
        [T1],
        create=lambda: lib.tier1.create_or_overwrite(
            "lib",
            T1,
            tier0="vic-t0",
            tags=TAGS,
            failover_mode="PREEMPTIVE",
            route_advertisement=lib.tier1.build_route_advertisement(subnets=True, nat=True),
        ),
    )
    yield Row(
        "DhcpServerConfig",
        "/infra/dhcp-server-configs/lib",
        lib.dhcp_server_config,
        ["lib"],
        create=lambda: lib.dhcp_server_config.create_or_overwrite(
            "lib",
            "lib",
            description="d",
            server_addresses=["100.96.1.1/30"],
            tags=TAGS,
            edge_cluster_path=f"{POINT}/edge-clusters/edge-cluster-1",
        ),
        change={"lease_time": 7200},
    )
    yield Row(
        "DhcpRelayConfig",
        "/infra/dhcp-relay-configs/lib",
        lib.dhcp_relay_config,
        ["lib"],
        create=lambda: lib.dhcp_relay_config.create_or_overwrite(
            "lib", "lib", description="d", server_addresses=["10.20.0.5"], tags=TAGS
        ),
        change={"server_addresses": ["10.20.0.6"]},
    )
    yield Row(
        "Segment",
        "/infra/segments/lib",
        lib.segment,
        ["lib"],
        create=lambda: lib.segment.create_or_overwrite(
            "lib",
            "lib",
            tier1_id=T1,
            subnets=[subnet],
            transport_zone_id="overlay",
            dhcp_server_config_id="lib",
            admin_state=True,
            tags=TAGS,
        ),
    )
    bindings = lib.segment_dhcp_static_bindings
    yield Row(
        "DhcpV4StaticBindingConfig",
        "/infra/segments/lib/dhcp-static-binding-configs/lib",
        bindings,
        ["lib", "lib"],
        create=lambda: bindings.create_or_overwrite_v4(
            "lib", "lib", "lib", ip_address="10.61.0.200", mac_address="00:50:56:aa:bb:cd", host_name="web", tags=TAGS
        ),
        names={"update": None},
    )


def services_and_groups(lib):
    """What rules refer to."""
    conditions = [
        lib.group.build_ip_address_expression(["10.61.0.0/25"]),
        policies.core_defs.ConjunctionOperator(operator="OR"),
        lib.group.build_condition(cond_val="vch|vch1", cond_member_type="VirtualMachine"),
    ]
    yield Row(
        "Service",
        "/infra/services/lib",
        lib.service,
        ["lib"],
        create=lambda: lib.service.create_or_overwrite("lib", "lib", protocol="TCP", dest_ports=["80"], tags=TAGS),
        whole=True,
    )
    yield Row(
        "Service",
        "/infra/services/lib-icmp",
        lib.icmp_service,
        ["lib-icmp"],
        create=lambda: lib.icmp_service.create_or_overwrite("lib", "lib-icmp", version=4, icmp_type=8, tags=TAGS),
        whole=True,
    )
    yield Row(
        "Group",
        GROUP,
        lib.group,
        [DOMAIN, "lib"],
        create=lambda: lib.group.create_or_overwrite_with_conditions(
            "lib", DOMAIN, "lib", conditions=conditions, tags=TAGS
        ),
    )


def firewalls(lib):
    """Policies and rules, distributed and of a gateway."""
    names = {"get": "get_entry", "delete": "delete_entry", "update": "update_entry", "list": None}
    rule = {"service_ids": ["lib"], "action": "ALLOW", "sequence_number": 5, "source_groups": ["lib"]}
    yield Row(
        "SecurityPolicy",
        "/infra/domains/default/security-policies/lib",
        lib.comm_map,
        [DOMAIN, "lib"],
        create=lambda: lib.comm_map.create_or_overwrite(
            "lib", DOMAIN, "lib", dest_groups=["lib"], map_sequence_number=10, tags=TAGS, **rule
        ),
        whole=True,
    )
    yield Row(
        "Rule",
        "/infra/domains/default/security-policies/lib/rules/more",
        lib.comm_map,
        [DOMAIN, "lib", "more"],
        create=lambda: lib.comm_map.create_entry("more", DOMAIN, "lib", "more", tags=TAGS, **rule),
        names=names,
        change={"action": "DROP"},
    )
    yield Row(
        "GatewayPolicy",
        "/infra/domains/default/gateway-policies/lib",
        lib.gateway_policy,
        [DOMAIN, "lib"],
        create=lambda: lib.gateway_policy.create_or_overwrite_map_only(
            "lib", DOMAIN, "lib", category="LocalGatewayRules", map_sequence_number=10, tags=TAGS
        ),
        whole=True,
    )
    yield Row(
        "Rule",
        "/infra/domains/default/gateway-policies/lib/rules/web",
        lib.gateway_policy,
        [DOMAIN, "lib", "web"],
        create=lambda: lib.gateway_policy.create_entry(
            "web", DOMAIN, "lib", "web", tags=TAGS, scope=[f"/infra/tier-1s/{T1}"], **rule
        ),
        names=names,
        change={"action": "DROP"},
    )


def addresses(lib):
    """NAT, and where addresses come from."""
    yield Row(
        "PolicyNatRule",
        f"/infra/tier-1s/{T1}/nat/USER/nat-rules/lib",
        lib.tier1_nat_rule,
        [T1, "lib"],
        create=lambda: lib.tier1_nat_rule.create_or_overwrite(
            "lib",
            T1,
            nat_rule_id="lib",
            action="DNAT",
            destination_network="203.0.113.78",
            sequence_number=5,
            translated_network="10.61.0.11",
            firewall_match="MATCH_EXTERNAL_ADDRESS",
            tags=TAGS,
        ),
        change={"translated_network": "10.61.0.12"},
    )
    yield Row(
        "IpAddressBlock",
        "/infra/ip-blocks/lib",
        lib.ip_block,
        ["lib"],
        create=lambda: lib.ip_block.create_or_overwrite("lib", "lib", cidr="192.0.2.0/24", tags=TAGS),
    )
    pool = lib.ip_pool
    yield Row(
        "IpAddressPool",
        "/infra/ip-pools/lib",
        pool,
        ["lib"],
        create=lambda: pool.create_or_overwrite("lib", "lib", tags=TAGS),
    )
    ranges = [{"start": "203.0.113.10", "end": "203.0.113.99"}]
    yield Row(
        "IpAddressPoolStaticSubnet",
        "/infra/ip-pools/lib/ip-subnets/lib",
        pool,
        ["lib", "lib"],
        create=lambda: pool.create_or_update_static_subnet("lib", "203.0.113.0/24", ranges, "lib", tags=TAGS),
        names={
            "get": "get_static_subnet",
            "list": "list_static_subnets",
            "delete": "release_static_subnet",
            "update": None,
        },
    )
    yield Row(
        "IpAddressAllocation",
        "/infra/ip-pools/lib/ip-allocations/lib",
        pool,
        ["lib", "lib"],
        create=lambda: pool.allocate_ip("lib", "lib", ip_address="203.0.113.50", tags=TAGS),
        names={"get": "get_allocation", "list": "list_allocations", "delete": "release_ip", "update": None},
    )


def connect(manager):
    """The library, logged in."""
    return policies.NsxPolicyLib(
        configs.NsxLibConfig(
            nsx_api_managers=[manager.url],
            username=manager.username,
            password=manager.password,
            insecure=False,
            ca_file=manager.ca,
            realization_max_attempts=5,
            realization_wait_sec=0.2,
            max_attempts=3,
            allow_passthrough=True,
        )
    )


def is_there(lib, one):
    """The library reads the object where it was put."""
    read = one.call("get", *one.ids)
    return [] if read["path"] == one.row["path"] and read["tags"] == TAGS else [f"read is {read}"]


def is_listed(lib, one):
    """The library lists it."""
    listed = [item["path"] for item in one.call("list", *one.ids[:-1])]
    return [] if one.row["path"] in listed else [f"listed are {listed}"]


def is_found(lib, one):
    """The library's search by tags finds it."""
    found = [item["path"] for item in lib.search_by_tags(TAGS, resource_type=one.row["kind"])["results"]]
    return [] if one.row["path"] in found else [f"found are {found}"]


def is_updated(lib, one):
    """A partial patch changes one field and leaves the others."""
    before = one.call("get", *one.ids)
    one.call("update", *one.ids, **one.change)
    after = one.call("get", *one.ids)
    kept = {k: v for k, v in before.items() if not k.startswith("_") and k not in one.change}
    # Embedded children that are written again have revisions and ids of their own.
    kept = {} if one.whole else {k: v for k, v in kept.items() if k not in ("rules", "expression")}
    return managers.differences({**kept, **one.change}, after)


def is_deleted(lib, one):
    """After its deletion the library does not find it."""
    one.call("delete", *one.ids)
    try:
        one.call("get", *one.ids)
    except exceptions.ResourceNotFound:
        return []
    return ["it is still there"]


def main():
    manager = managers.Manager(managers.arguments(__doc__.splitlines()[0]))
    managers.at_once(manager)
    before, story = sorted(manager.dump()), managers.Story()
    lib = connect(manager)
    table = list(rows(lib))
    for one in table:
        story.step(one.row, "create", lambda one=one: one.create() and None)
        story.step(one.row, "read", lambda one=one: is_there(lib, one))
        if one.names["list"]:
            story.step(one.row, "list", lambda one=one: is_listed(lib, one))
        story.step(one.row, "search", lambda one=one: is_found(lib, one))
        if one.names["update"]:
            story.step(one.row, "update", lambda one=one: is_updated(lib, one))
    lib.tier1.set_edge_cluster_path(T1, f"{POINT}/edge-clusters/edge-cluster-1")
    services = {"path": "the gateway's locale service"}
    story.step(services, "read", lambda: [] if lib.tier1.get_edge_cluster_path(T1) else ["no edge cluster"])
    story.step(services, "delete", lambda: lib.tier1.delete_locale_service(T1))
    for one in reversed(table):
        story.step(one.row, "delete", lambda one=one: is_deleted(lib, one))
    left = sorted(set(manager.dump()) ^ set(before))
    story.step({"path": "/infra"}, "leave nothing", lambda: [f"left: {left}"] if left else [])
    return story.tell()


if __name__ == "__main__":
    sys.exit(main())
