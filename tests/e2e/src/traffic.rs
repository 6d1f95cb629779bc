//! Packets through the edge, and what should become of them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::{Outcome, demand};
use crate::world::World;

/// A packet.
#[derive(Clone, Debug)]
pub struct Packet {
    from: String,
    to: String,
    port: u16,
    protocol: &'static str,
}

/// What became of a packet.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Fate {
    /// Where it went after NAT, `address:port`.
    pub translated: Option<String>,
    /// The address that it leaves with, where NAT changed that.
    #[serde(rename = "source")]
    pub masked: Option<String>,
    /// The VM that received it.
    pub vm: Option<String>,
    /// `delivered`, `dropped` or `no-route`.
    pub verdict: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// How it went, step by step.
    #[serde(default)]
    pub steps: Vec<Value>,
}

impl Packet {
    /// A TCP packet.
    #[must_use]
    pub fn tcp(from: &str, to: &str, port: u16) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            port,
            protocol: "TCP",
        }
    }

    /// A UDP packet.
    #[must_use]
    pub fn udp(from: &str, to: &str, port: u16) -> Self {
        Self {
            protocol: "UDP",
            ..Self::tcp(from, to, port)
        }
    }

    /// An ICMP packet.
    #[must_use]
    pub fn icmp(from: &str, to: &str) -> Self {
        Self {
            protocol: "ICMP",
            ..Self::tcp(from, to, 0)
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// The control port does not answer as agreed.
    pub async fn fate(&self, world: &World) -> Outcome<Fate> {
        let port = (self.protocol != "ICMP").then_some(self.port);
        let packet = json!({"from": self.from, "to": self.to, "port": port, "protocol": self.protocol});
        Ok(serde_json::from_value(
            world.lab.nsx.control.post("/probe", &packet).await?,
        )?)
    }

    /// Waits until it is delivered to that container: NSX learns of a new VM only after a while.
    ///
    /// # Errors
    /// It is not.
    pub async fn will_reach(&self, world: &World, container: &str) -> Outcome<Fate> {
        self.will(world, &format!("reach {container}"), |fate| {
            fate.is_delivery_to(container)
        })
        .await
    }

    /// Waits until a firewall rule drops it: what a hand wrote takes effect after a while.
    ///
    /// # Errors
    /// None does.
    pub async fn will_be_dropped(&self, world: &World) -> Outcome<Fate> {
        self.will(world, "be dropped by a rule", Fate::is_drop).await
    }

    /// Waits until it leads nowhere: NSX takes its time to delete.
    ///
    /// # Errors
    /// It goes on leading somewhere.
    pub async fn will_be_lost(&self, world: &World) -> Outcome<Fate> {
        self.will(world, "find no route", Fate::is_loss).await
    }

    /// Waits until it meets a fate.
    ///
    /// # Errors
    /// It meets another.
    pub async fn will(&self, world: &World, what: &str, wish: impl Fn(&Fate) -> bool) -> Outcome<Fate> {
        world
            .eventually(&format!("{self:?} to {what}"), async || {
                let fate = self.fate(world).await?;
                Ok(if wish(&fate) {
                    Ok(fate)
                } else {
                    Err(format!("{fate:?}"))
                })
            })
            .await
    }

    /// Demands that it is delivered now to that container, with that address and port after NAT.
    ///
    /// # Errors
    /// It is not.
    pub async fn reaches(&self, world: &World, container: &str, translated: Option<&str>) -> Outcome<Fate> {
        self.meets(world, &format!("reach {container} as {translated:?}"), |fate| {
            fate.is_delivery_to(container) && fate.translated.as_deref() == translated
        })
        .await
    }

    /// Demands that a firewall rule drops it now.
    ///
    /// # Errors
    /// None does.
    pub async fn is_dropped(&self, world: &World) -> Outcome<Fate> {
        self.meets(world, "be dropped by a rule", Fate::is_drop).await
    }

    /// Demands that it leads nowhere now.
    ///
    /// # Errors
    /// It leads somewhere.
    pub async fn is_lost(&self, world: &World) -> Outcome<Fate> {
        self.meets(world, "find no route", Fate::is_loss).await
    }

    /// Demands a fate of it now.
    ///
    /// # Errors
    /// It meets another.
    pub async fn meets(&self, world: &World, what: &str, wish: impl Fn(&Fate) -> bool) -> Outcome<Fate> {
        let fate = self.fate(world).await?;
        demand(wish(&fate), || format!("{self:?} should {what}, but: {fate:#?}"))?;
        Ok(fate)
    }
}

impl Fate {
    fn is_drop(&self) -> bool {
        self.verdict == "dropped" && self.rule.is_some()
    }

    fn is_loss(&self) -> bool {
        self.verdict == "no-route" && self.vm.is_none()
    }

    /// The address that the packet leaves with, as its last step tells: `TCP source:port -> destination:port …`.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        let last = self.steps.last()?.as_str()?;
        let source = last.split_whitespace().nth(1)?;
        Some(source.split(':').next()?.to_owned())
    }

    /// Whether that container received it. A container VM's name is the container's and a part of its id.
    #[must_use]
    pub fn is_delivery_to(&self, container: &str) -> bool {
        let vm = self.vm.as_deref().unwrap_or_default();
        self.verdict == "delivered" && (vm == container || vm.starts_with(&format!("{container}-")))
    }
}
