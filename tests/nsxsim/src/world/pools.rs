//! Addresses from pools, and subnets from blocks: given when the intent is realized.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::World;
use super::object::{Alarm, Object, State, text, texts};
use super::queue::Event;
use crate::net::Span;
use crate::paths::parent_of;
use crate::rules::expressions;

/// Alarm code of an allocation that cannot be made.
const NO_ADDRESS: i64 = 8_212;
/// Milliseconds that a released address rests where its pool says nothing.
const RELEASE_DELAY_MS: u64 = 120_000;

/// What is given.
#[derive(Default)]
pub struct Pools {
    /// Addresses by the path of their allocation.
    given: BTreeMap<String, IpAddr>,
    /// Addresses that were released a moment ago.
    resting: Vec<Resting>,
    /// Subnets cut out of blocks, by the path of the pool's subnet.
    carved: BTreeMap<String, IpNet>,
}

struct Resting {
    pool: String,
    address: IpAddr,
    until: u64,
}

impl World {
    /// Gives an intent about to be realized what it asks for: the attributes of its realized entity.
    ///
    /// # Errors
    /// The alarm, where there is nothing to give.
    pub fn give(&mut self, object: &Object, now: u64) -> Result<Vec<(&'static str, String)>, Alarm> {
        match object.kind.as_str() {
            "IpAddressAllocation" => {
                let address = self.allocate(object, now)?;
                Ok(vec![("allocation_ip", address.to_string())])
            }
            "IpAddressPoolBlockSubnet" => {
                let net = self.carve(object)?;
                Ok(vec![("cidr", net.to_string())])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn allocate(&mut self, object: &Object, now: u64) -> Result<IpAddr, Alarm> {
        let wanted = object
            .text("allocation_ip")
            .and_then(|ip| ip.parse::<IpAddr>().ok());
        if let Some(known) = self.pools.given.get(&object.path)
            && wanted.is_none_or(|w| w == *known)
        {
            return Ok(*known);
        }
        let pool = parent_of(&object.path);
        let spans = self.spans(pool);
        let busy = self.busy(pool, now);
        let free = |address: &IpAddr| !busy.contains(address);
        let found = match wanted {
            Some(address) => Some(address).filter(|a| spans.iter().any(|s| s.contains(*a)) && free(a)),
            None => spans.iter().flat_map(addresses).find(free),
        };
        let Some(address) = found else {
            let what = wanted.map_or_else(|| "no address".to_owned(), |a| format!("{a} is not"));
            return Err(Alarm {
                message: format!("{what} available in IP pool {pool} for {}", object.path),
                code: NO_ADDRESS,
            });
        };
        self.pools.given.insert(object.path.clone(), address);
        Ok(address)
    }

    /// Addresses of a pool that are given, or rest.
    fn busy(&self, pool: &str, now: u64) -> Vec<IpAddr> {
        let given = self
            .pools
            .given
            .iter()
            .filter(|(path, _)| parent_of(path) == pool);
        let resting = self
            .pools
            .resting
            .iter()
            .filter(|r| r.pool == pool && r.until > now);
        given
            .map(|(_, address)| *address)
            .chain(resting.map(|r| r.address))
            .collect()
    }

    /// What a pool's subnets in effect hold.
    fn spans(&self, pool: &str) -> Vec<Span> {
        let subnets = self.store.collection(pool, "IpAddressPoolSubnet", false);
        let in_effect = subnets.filter_map(|o| Some((o, o.realization.effective.as_deref()?)));
        in_effect
            .flat_map(|(object, body)| self.spans_of(&object.path, body))
            .collect()
    }

    fn spans_of(&self, path: &str, body: &Map<String, Value>) -> Vec<Span> {
        if let Some(net) = self.pools.carved.get(path) {
            let whole = Span::block(*net);
            let skipped = if body.get("auto_assign_gateway") == Some(&json!(false)) {
                1
            } else {
                2
            };
            let last = whole.width().saturating_sub(1);
            let ends = whole.at(skipped).zip(whole.at(last));
            return ends
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| Span { first, last })
                .into_iter()
                .collect();
        }
        ranges(body).unwrap_or_default()
    }

    fn carve(&mut self, object: &Object) -> Result<IpNet, Alarm> {
        if let Some(known) = self.pools.carved.get(&object.path) {
            return Ok(*known);
        }
        let block = object.text("ip_block_path").unwrap_or_default();
        let taken: Vec<Span> = self
            .pools
            .carved
            .iter()
            .filter(|(path, _)| {
                let subnet = self.store.any(path);
                subnet.and_then(|o| o.text("ip_block_path")) == Some(block)
            })
            .map(|(_, net)| Span::block(*net))
            .collect();
        let size = size_of(&object.body).unwrap_or_default();
        let nets = self
            .store
            .live(block)
            .map(|b| networks(&b.body))
            .unwrap_or_default();
        let start = object.text("start_ip").and_then(|ip| ip.parse::<IpAddr>().ok());
        let found = nets.iter().find_map(|net| cut(*net, size, start, &taken));
        let Some(net) = found else {
            return Err(Alarm {
                message: format!("IP block {block} has no room for {size} addresses"),
                code: NO_ADDRESS,
            });
        };
        self.pools.carved.insert(object.path.clone(), net);
        Ok(net)
    }

    /// An intent is gone: what it held is free again, an address after its pool's delay.
    pub fn take_back(&mut self, path: &str, now: u64) {
        self.pools.carved.remove(path);
        let Some(address) = self.pools.given.remove(path) else {
            return;
        };
        let pool = parent_of(path).to_owned();
        let delay = self
            .store
            .any(&pool)
            .and_then(|p| p.body.get("ip_release_delay").and_then(Value::as_u64));
        let until = now.saturating_add(delay.unwrap_or(RELEASE_DELAY_MS));
        self.pools.resting.retain(|r| r.until > now);
        self.retry_allocations(&pool, until);
        self.pools.resting.push(Resting { pool, address, until });
    }

    /// Allocations that failed are tried again.
    pub fn retry_allocations(&mut self, pool: &str, due: u64) {
        let failed: Vec<(String, u64)> = self
            .store
            .collection(pool, "IpAddressAllocation", false)
            .filter(|o| matches!(o.realization.state, State::Failed(_)))
            .map(|o| (o.path.clone(), o.generation))
            .collect();
        for (path, generation) in failed {
            self.queue.push(due, Event::Realize { path, generation });
        }
    }

    /// When the next resting address of a pool is free.
    pub fn next_free(&self, pool: &str, now: u64) -> Option<u64> {
        let resting = self.pools.resting.iter().filter(|r| r.pool == pool);
        resting.map(|r| r.until).filter(|until| *until > now).min()
    }

    /// Allocations that hold an address of a pool's subnet.
    pub fn holders(&self, subnet: &Object) -> Vec<&str> {
        let spans = self.spans_of(&subnet.path, &subnet.body);
        let pool = parent_of(&subnet.path);
        let given = self.pools.given.iter();
        given
            .filter(|(path, address)| parent_of(path) == pool && spans.iter().any(|s| s.contains(**address)))
            .map(|(path, _)| path.as_str())
            .filter(|path| self.store.live(path).is_some())
            .collect()
    }

    /// `pool_usage` of a pool.
    pub fn pool_usage(&self, pool: &str) -> Value {
        let total: u128 = self
            .spans(pool)
            .iter()
            .map(|s| s.width().saturating_add(1))
            .fold(0, u128::saturating_add);
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let allocated = u64::try_from(self.busy(pool, 0).len()).unwrap_or(u64::MAX);
        let requested = self.store.collection(pool, "IpAddressAllocation", false).count();
        json!({
            "total_ips": total,
            "allocated_ip_allocations": allocated,
            "requested_ip_allocations": requested,
            "available_ips": total.saturating_sub(allocated),
        })
    }

    /// What reads show of a subnet that was cut out of a block.
    pub fn carved_fields(&self, path: &str) -> Vec<(&'static str, String)> {
        let Some(net) = self.pools.carved.get(path) else {
            return Vec::new();
        };
        let gateway = Span::block(*net).at(1);
        let mut fields = vec![
            ("cidr", net.to_string()),
            ("allocated_cidr", net.to_string()),
            ("network_address", net.network().to_string()),
            ("broadcast_address", net.broadcast().to_string()),
        ];
        fields.extend(gateway.map(|g| ("gateway_address", format!("{g}/{}", net.prefix_len()))));
        fields
    }

    /// `IpAddressBlockUsage` of a block.
    pub fn block_usage(&self, block: &Object) -> Value {
        let size = |net: &IpNet| Span::block(*net).width().saturating_add(1);
        let total: u128 = networks(&block.body)
            .iter()
            .map(size)
            .fold(0, u128::saturating_add);
        let carved = self.pools.carved.iter().filter(|(path, _)| {
            let subnet = self.store.any(path);
            subnet.and_then(|o| o.text("ip_block_path")) == Some(block.path.as_str())
        });
        let nets: Vec<&IpNet> = carved.map(|(_, net)| net).collect();
        let used: u128 = nets.iter().map(|n| size(n)).fold(0, u128::saturating_add);
        let ranges: Vec<String> = nets
            .iter()
            .map(|n| format!("{}-{}", n.network(), n.broadcast()))
            .collect();
        json!({
            "intent_path": block.path,
            "used_ip_ranges": ranges,
            "used_ips_count": used.to_string(),
            "available_ips_count": total.saturating_sub(used).to_string(),
            "overall_ips_count": total.to_string(),
        })
    }
}

fn addresses(span: &Span) -> impl Iterator<Item = IpAddr> + use<> {
    let span = *span;
    (0..=span.width()).map_while(move |offset| span.at(offset))
}

/// Ranges of a static subnet; `None` where one is none.
pub fn ranges(body: &Map<String, Value>) -> Option<Vec<Span>> {
    let read = |range: &Map<String, Value>| {
        Span::parse(&format!("{}-{}", text(range, "start")?, text(range, "end")?))
    };
    expressions(body, "allocation_ranges").map(read).collect()
}

/// Networks of a block.
pub fn networks(block: &Map<String, Value>) -> Vec<IpNet> {
    let all = text(block, "cidr").into_iter().chain(texts(block, "cidrs"));
    all.filter_map(|c| c.parse::<IpNet>().ok())
        .map(|n| n.trunc())
        .collect()
}

/// How many addresses a subnet wants from its block.
pub fn size_of(body: &Map<String, Value>) -> Option<u64> {
    let number = body.get("size").and_then(Value::as_u64);
    number.or_else(|| text(body, "subnet_size")?.parse().ok())
}

/// A free part of a network, of a size, at a start where one is wanted.
fn cut(net: IpNet, size: u64, start: Option<IpAddr>, taken: &[Span]) -> Option<IpNet> {
    let bits = u8::try_from(size.checked_ilog2()?).ok()?;
    let prefix = net.max_prefix_len().checked_sub(bits)?;
    let mut parts = net.subnets(prefix).ok()?;
    parts.find(|part| {
        let span = Span::block(*part);
        start.is_none_or(|s| s == part.network()) && !taken.iter().any(|t| t.overlaps(&span))
    })
}
