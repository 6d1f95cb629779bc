//! A run's own 127.x.y.0/24 and its ports.

use crate::error::{Context, Error, Result};
use ipnet::Ipv4Net;
use rand::Rng;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

/// The port whose listener, on the network's last host, says that the network is taken.
const CLAIM_PORT: u16 = 42_424;

/// Networks tried before giving up.
const ATTEMPTS: usize = 200;

/// A /24 of the loopback network that belongs to one laboratory of this machine while this value lives.
///
/// Linux answers on every address of 127.0.0.0/8. The claim is a listening socket: it ends with the process, whatever
/// way that goes, and needs no file.
#[derive(Debug)]
pub struct Network {
    subnet: Ipv4Net,
    _claim: TcpListener,
}

impl Network {
    /// Claims a network that no other laboratory holds.
    ///
    /// # Errors
    /// None is free, or the machine does not answer on 127.0.0.0/8.
    pub fn claim() -> Result<Self> {
        let mut rng = rand::rng();
        for _ in 0..ATTEMPTS {
            // 127.0.y and the upper half stay free for what else a machine keeps there (127.0.0.53, 127.0.1.1 ...).
            let subnet = Ipv4Net::new(
                Ipv4Addr::new(127, rng.random_range(64..=126), rng.random(), 0),
                24,
            )
            .map_err(|error| Error::Other(format!("a loopback network: {error}")))?;
            if let Ok(network) = Self::claim_this(subnet) {
                return Ok(network);
            }
        }
        Err(Error::Other(format!(
            "no free network in 127.64.0.0/10 after {ATTEMPTS} attempts"
        )))
    }

    fn claim_this(subnet: Ipv4Net) -> std::io::Result<Self> {
        let claim = TcpListener::bind(SocketAddrV4::new(host(subnet, 254), CLAIM_PORT))?;
        Ok(Self {
            subnet,
            _claim: claim,
        })
    }

    /// The network, `127.x.y.0/24`.
    #[must_use]
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// The gateway that the VCH's public network names.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        host(self.subnet, 1)
    }

    /// Where etcd, kube-apiserver and the other servers of the laboratory listen.
    #[must_use]
    pub fn services(&self) -> Ipv4Addr {
        host(self.subnet, 2)
    }

    /// The VCH's public address, on which the guest opens its Docker endpoint.
    #[must_use]
    pub fn vch(&self) -> Ipv4Addr {
        host(self.subnet, 10)
    }

    /// A port of the services' address on which nothing listens. Nobody else binds in this network, and loopback
    /// connections start at 127.0.0.1, so it stays free.
    ///
    /// # Errors
    /// The system has none.
    pub fn port(&self) -> Result<u16> {
        let listener =
            TcpListener::bind((self.services(), 0)).context(|| format!("a port on {}", self.services()))?;
        Ok(listener.local_addr().context(|| "a port".to_owned())?.port())
    }
}

fn host(subnet: Ipv4Net, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = subnet.network().octets();
    Ipv4Addr::new(a, b, c, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_belongs_to_one_laboratory_at_a_time() {
        let network = Network::claim().unwrap();
        assert!(Network::claim_this(network.subnet()).is_err());
        let subnet = network.subnet();
        drop(network);
        assert!(Network::claim_this(subnet).is_ok());
    }

    #[test]
    fn ports_of_the_network_can_be_bound() {
        let network = Network::claim().unwrap();
        let port = network.port().unwrap();
        let listener = TcpListener::bind((network.services(), port)).unwrap();
        assert!(network.subnet().contains(&network.vch()));
        drop(listener);
    }
}
