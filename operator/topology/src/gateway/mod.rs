//! Edge gateways: a Tier-1 as NSX shall have it, its north-south firewall, and what a gateway that exists can do.

mod able;
mod firewall;
mod tier1;

pub use able::GatewayView;
pub use firewall::{Direction, FirewallAction, FirewallRuleSpec, GatewayFirewallSpec, PortSpec, Posture};
pub use tier1::{Advertised, GatewayDhcpSpec, Tier1Spec, UplinkSpec};

#[cfg(test)]
mod able_tests;
#[cfg(test)]
mod firewall_tests;
#[cfg(test)]
mod tier1_tests;
