use proptest::prelude::*;

use super::*;
use crate::nat::{NatProtocol, Place, Ports};

fn claim(first: u16, last: u16) -> Claim {
    Claim {
        gateway: "/infra/tier-1s/edge".into(),
        inbound: true,
        address: Some("203.0.113.10/32".parse().unwrap()),
        protocol: NatProtocol::Tcp,
        ports: Some(Ports { first, last }),
        remotes: Vec::new(),
        place: Place::Priority(500),
    }
}

fn ours(name: &str, second: u8, ports: (u16, u16), in_nsx: bool) -> Contender {
    let owner = Owner {
        instance: "i".into(),
        kind: "EdgeNatRule".into(),
        namespace: "n".into(),
        name: name.into(),
        uid: name.into(),
    };
    let created = format!("2026-01-01T00:00:{second:02}Z");
    Contender {
        claim: claim(ports.0, ports.1),
        holder: Holder::Ours { owner, created },
        in_nsx,
    }
}

fn outside(path: &str, ports: (u16, u16)) -> Contender {
    Contender {
        claim: claim(ports.0, ports.1),
        holder: Holder::Outside { path: path.into() },
        in_nsx: true,
    }
}

#[test]
fn who_holds_it_keeps_it_then_the_older_then_the_name() {
    let web = (80, 80);
    let cases = [
        ("the only one", ours("a", 1, web, false), vec![], None),
        (
            "itself",
            ours("a", 1, web, true),
            vec![ours("a", 1, web, true)],
            None,
        ),
        (
            "itself, created anew",
            ours("a", 9, web, false),
            vec![ours("a", 1, web, true)],
            None,
        ),
        (
            "another port",
            ours("a", 2, (81, 81), false),
            vec![ours("b", 1, web, true)],
            None,
        ),
        (
            "in NSX, though younger",
            ours("a", 9, web, true),
            vec![ours("b", 1, web, false)],
            None,
        ),
        (
            "against one in NSX",
            ours("a", 1, web, false),
            vec![ours("b", 9, web, true)],
            Some("b"),
        ),
        (
            "against an older one",
            ours("a", 2, web, false),
            vec![ours("b", 1, web, false)],
            Some("b"),
        ),
        (
            "the same second",
            ours("b", 1, web, false),
            vec![ours("a", 1, web, false)],
            Some("a"),
        ),
        (
            "a range around it",
            ours("b", 2, (70, 90), false),
            vec![ours("a", 1, web, false)],
            Some("a"),
        ),
        (
            "against an outside rule",
            ours("a", 1, web, false),
            vec![outside("x", web)],
            Some("x"),
        ),
        (
            "an outside rule beside one of ours in NSX",
            ours("a", 1, web, true),
            vec![outside("x", web)],
            None,
        ),
        (
            "the loser of another keeps nobody out",
            ours("c", 3, (90, 99), false),
            vec![ours("b", 2, (80, 90), false), ours("a", 1, (80, 80), false)],
            None,
        ),
        (
            "an outside rule stands even where it clashes with one of ours in NSX",
            ours("c", 1, (90, 99), false),
            vec![outside("x", (80, 95)), ours("b", 2, (80, 80), true)],
            Some("x"),
        ),
        (
            "who holds is named, not who lost as well",
            ours("c", 3, (80, 90), false),
            vec![ours("b", 2, (80, 90), false), ours("a", 1, (80, 80), false)],
            Some("a"),
        ),
    ];
    for (case, mine, others, expected) in cases {
        assert_eq!(
            winner(&mine, &ledger(&others)).err().map(name),
            expected.map(str::to_owned),
            "{case}"
        );
    }
}

fn ledger(all: &[Contender]) -> Ledger<usize> {
    let mut ledger = Ledger::default();
    for (key, contender) in all.iter().enumerate() {
        ledger.enter(key, contender.clone());
    }
    ledger
}

fn name(contender: &Contender) -> String {
    match &contender.holder {
        Holder::Outside { path } => path.clone(),
        Holder::Ours { owner, .. } => owner.name.clone(),
    }
}

fn contenders() -> impl Strategy<Value = Vec<Contender>> {
    let one = (0_u8..3, 80_u16..90, 0_u16..4, prop::bool::weighted(0.2));
    prop::collection::vec(one, 1..9).prop_map(|all| {
        let named = |(place, (second, first, more, in_nsx)): (usize, _)| {
            ours(&format!("r{place}"), second, (first, first + more), in_nsx)
        };
        all.into_iter().enumerate().map(named).collect()
    })
}

fn winners(all: &[Contender]) -> Vec<String> {
    let ledger = ledger(all);
    let mut names: Vec<String> = all
        .iter()
        .filter(|one| winner(one, &ledger).is_ok())
        .map(name)
        .collect();
    names.sort();
    names
}

proptest! {
    /// Of any number that all claim the same, exactly one holds.
    #[test]
    fn one_of_all_that_clash_holds(all in contenders()) {
        let same: Vec<Contender> = all.into_iter().map(|one| Contender { claim: claim(80, 80), ..one }).collect();
        prop_assert_eq!(winners(&same).len(), 1);
    }

    /// Those who hold never clash, and who does not hold clashes with the one that is named, who does.
    #[test]
    fn winners_never_clash_and_losers_always_do(all in contenders()) {
        let names = winners(&all);
        for one in &all {
            let clashes = |other: &&Contender| {
                name(other) != name(one) && names.contains(&name(other)) && other.claim.overlaps(&one.claim)
            };
            match winner(one, &ledger(&all)) {
                Ok(()) => prop_assert_eq!(all.iter().find(clashes), None),
                Err(by) => prop_assert!(by.claim.overlaps(&one.claim) && names.contains(&name(by))),
            }
        }
    }

    #[test]
    fn the_order_in_which_they_are_asked_means_nothing(all in contenders(), seed in any::<prop::sample::Index>()) {
        let mut turned = all.clone();
        turned.reverse();
        let at = seed.index(turned.len());
        turned.rotate_left(at);
        prop_assert_eq!(winners(&all), winners(&turned));
        for one in &all {
            prop_assert_eq!(winner(one, &ledger(&all)).err().map(name), winner(one, &ledger(&turned)).err().map(name));
        }
    }

    /// When the winners have been written, they still are the winners.
    #[test]
    fn what_was_won_stays_won(all in contenders()) {
        let names = winners(&all);
        let written: Vec<Contender> = all
            .iter()
            .map(|one| Contender { in_nsx: names.contains(&name(one)), ..one.clone() })
            .collect();
        prop_assert_eq!(winners(&written), names);
    }
}
