use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;
use crate::identity::Owner;
use crate::nat::{NatProtocol, Place, Ports};
use crate::winner::Holder;

fn contender(claim: Claim) -> Contender {
    let owner = Owner {
        instance: "i".into(),
        kind: "EdgeNatRule".into(),
        namespace: "n".into(),
        name: "r".into(),
        uid: "u".into(),
    };
    Contender {
        claim,
        holder: Holder::Ours {
            owner,
            created: String::new(),
        },
        in_nsx: false,
    }
}

fn claim(address: Option<&str>, ports: Option<(u16, u16)>) -> Claim {
    Claim {
        gateway: "/infra/tier-1s/edge".into(),
        inbound: true,
        address: address.map(|text| text.parse().unwrap()),
        protocol: NatProtocol::Tcp,
        ports: ports.map(|(first, last)| Ports { first, last }),
        remotes: Vec::new(),
        place: Place::Priority(500),
    }
}

fn rivals(ledger: &Ledger<u8>, claim: &Claim) -> Vec<u8> {
    let mut keys: Vec<u8> = ledger.rivals(claim).map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_claim_is_replaced_under_its_key_and_struck() {
    let mut ledger = Ledger::default();
    let (web, ssh) = (
        claim(Some("203.0.113.1/32"), Some((80, 80))),
        claim(Some("203.0.113.1/32"), Some((22, 22))),
    );
    assert!(ledger.enter(1, contender(web.clone())).is_none());
    assert_eq!(rivals(&ledger, &web), [1]);
    assert_eq!(ledger.enter(1, contender(ssh.clone())).unwrap().claim, web);
    assert_eq!((rivals(&ledger, &web), rivals(&ledger, &ssh)), (vec![], vec![1]));
    assert_eq!(ledger.strike(&1).unwrap().claim, ssh);
    assert!(ledger.strike(&1).is_none() && ledger.spots.is_empty() && ledger.get(&1).is_none());
}

#[test]
fn wider_claims_and_narrower_ones_find_each_other() {
    let all = [
        claim(Some("203.0.113.1/32"), Some((80, 80))),
        claim(Some("203.0.113.1/32"), Some((70, 90))),
        claim(Some("203.0.113.1/32"), None),
        claim(Some("203.0.113.0/24"), Some((80, 80))),
        claim(None, None),
        claim(Some("203.0.113.2/32"), Some((80, 80))),
    ];
    let mut ledger = Ledger::default();
    for (key, claim) in (0..).zip(&all) {
        ledger.enter(key, contender(claim.clone()));
    }
    let expected: [&[u8]; 6] = [
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 3, 4, 5],
        &[0, 1, 2, 3, 4, 5],
        &[3, 4, 5],
    ];
    for (claim, expected) in all.iter().zip(expected) {
        assert_eq!(rivals(&ledger, claim), expected, "{claim}");
    }
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let address = prop::option::of((0_u8..3, prop::sample::select(vec![24_u8, 31, 32, 32, 32])));
    let ports = prop::option::of((80_u16..86, 0_u16..3));
    (any::<bool>(), address, ports, 0_u32..2).prop_map(|(inbound, address, ports, priority)| Claim {
        inbound,
        address: address.map(|(last, length)| Ipv4Net::new([203, 0, 113, last].into(), length).unwrap()),
        ports: ports.map(|(first, more)| Ports {
            first,
            last: first + more,
        }),
        place: Place::Priority(priority),
        ..claim(None, None)
    })
}

proptest! {
    /// The files hide nobody: the rivals are those that a look at every claim finds.
    #[test]
    fn rivals_are_all_that_overlap(all in prop::collection::vec(any_claim(), 0..20), struck in any::<u8>(), mine in any_claim()) {
        let mut ledger = Ledger::default();
        for (key, claim) in (0_u8..).zip(&all) {
            ledger.enter(key, contender(claim.clone()));
        }
        let struck = struck % 20;
        ledger.strike(&struck);
        let overlapping = (0_u8..).zip(&all).filter(|(key, claim)| *key != struck && claim.overlaps(&mine));
        prop_assert_eq!(rivals(&ledger, &mine), overlapping.map(|(key, _)| key).collect::<Vec<_>>());
    }
}
