//! What should exist outside and how it differs from what does: pure, without I/O, time or threads.

pub mod addresses;
pub mod checks;
pub mod claims;
mod defaults;
pub mod diff;
pub mod gateway;
pub mod identity;
pub mod intent;
pub mod ledger;
pub mod microsegmentation;
pub mod nat;
pub mod plan;
pub mod segment;
pub mod sharing;
pub mod tenancy;
pub mod winner;

pub use addresses::{Range, RangeError, address_text, interface, overlap};
pub use checks::{Broken, check_microseg, check_nat, check_subnet};
pub use claims::Claim;
pub use diff::{Difference, differences};
pub use gateway::{
    Advertised, Direction, FirewallAction, FirewallRuleSpec, GatewayDhcpSpec, GatewayFirewallSpec,
    GatewayView, PortSpec, Posture, Tier1Spec, UplinkSpec,
};
pub use identity::*;
pub use intent::{Change, Intent};
pub use ledger::Ledger;
pub use microsegmentation::{MachineMatch, Members, MicrosegRule, MicrosegSpec, NameMatch, Peers};
pub use nat::{
    AllocationSpec, NatAction, NatFirewall, NatProtocol, NatSpec, Place, Ports, SPACING, check_ports,
    sequence,
};
pub use plan::{Plan, Step, Verb, nsx_plan};
pub use segment::{
    BindingSpec, DhcpSpec, SegmentSpec, SubnetSpec, dhcp_profile, dhcp_relay, ranges_in_effect, segment_path,
};
pub use sharing::{Shared, Sharing};
pub use tenancy::Grants;
pub use winner::{Contender, Holder, winner};

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod unknown_tests;
