//! How a refused batch is split until what NSX refuses stands alone. Pure.

use crate::error::Refusal;
use crate::{Change, path};

/// Splits a refused batch of at least two units into two parts that are not empty. Where the refusal names some of
/// them, they are one part and the rest is the other; else it is halved. A wrong guess costs a call and nothing more:
/// each part is sent on its own, whatever it holds.
pub(crate) fn split<U>(
    mut units: Vec<U>,
    refusal: Option<&Refusal>,
    changes: impl Fn(&U) -> &[Change],
) -> (Vec<U>, Vec<U>) {
    let named: Vec<bool> = match refusal {
        Some(refusal) => units
            .iter()
            .map(|unit| changes(unit).iter().any(|change| names(refusal, change)))
            .collect(),
        None => Vec::new(),
    };
    let count = named.iter().filter(|named| **named).count();
    if count == 0 || count == units.len() {
        let rest = units.split_off(units.len() / 2);
        return (units, rest);
    }
    let mut parts = (Vec::with_capacity(count), Vec::with_capacity(units.len() - count));
    for (unit, named) in units.into_iter().zip(named) {
        if named {
            parts.0.push(unit);
        } else {
            parts.1.push(unit);
        }
    }
    parts
}

/// Whether a message speaks of this object: by its path, or by its id as a word. Short ids occur by chance.
fn names(refusal: &Refusal, change: &Change) -> bool {
    let id = path::id(change.path());
    std::iter::once(&refusal.message)
        .chain(&refusal.related)
        .any(|message| has_word(message, change.path()) || (id.len() >= 6 && has_word(message, id)))
}

/// Whether `word` occurs in `text` and does not go on at either end.
fn has_word(text: &str, word: &str) -> bool {
    let goes_on = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let mut after = text.get(at + word.len()..).unwrap_or_default().chars();
        let (next, second) = (after.next(), after.next());
        // A full stop ends a sentence unless a name follows.
        let ends = match next {
            Some('.') => !second.is_some_and(goes_on),
            Some(letter) => !goes_on(letter),
            None => true,
        };
        ends && !before.is_some_and(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(id: &str) -> Vec<Change> {
        vec![Change::Delete {
            path: format!("/infra/segments/{id}"),
            resource_type: "Segment".into(),
        }]
    }

    fn refusal(message: &str, related: &[&str]) -> Refusal {
        Refusal {
            message: message.into(),
            related: related.iter().map(|m| (*m).to_owned()).collect(),
            ..Refusal::default()
        }
    }

    fn ids(units: &[Vec<Change>]) -> Vec<&str> {
        units.iter().map(|unit| path::id(unit[0].path())).collect()
    }

    #[test]
    fn the_named_culprit_stands_alone_at_once() {
        let units: Vec<_> = ["net-alpha", "net-beta", "net-gamma", "net-beta-2"]
            .map(unit)
            .into();
        for message in [
            "The path=[/infra/segments/net-beta] is invalid",
            "Segment net-beta has ports.",
            "cannot delete net-beta",
            "'net-beta'",
        ] {
            let (named, rest) = split(units.clone(), Some(&refusal(message, &[])), Vec::as_slice);
            assert_eq!(
                (ids(&named), ids(&rest)),
                (vec!["net-beta"], vec!["net-alpha", "net-gamma", "net-beta-2"])
            );
        }
        let (named, _) = split(
            units,
            Some(&refusal("wrapped", &["net-gamma is busy"])),
            Vec::as_slice,
        );
        assert_eq!(ids(&named), ["net-gamma"]);
    }

    #[test]
    fn short_ids_and_mere_prefixes_are_no_clue() {
        let units: Vec<_> = ["web", "db", "application", "application.1"].map(unit).into();
        for message in [
            "web and db",
            "applications fail",
            "my-application fails",
            "application.12 fails",
        ] {
            let (first, rest) = split(units.clone(), Some(&refusal(message, &[])), Vec::as_slice);
            assert_eq!((first.len(), rest.len()), (2, 2), "{message}");
        }
    }

    /// Sends parts until each poisoned unit stands alone; returns (landed, alone and refused, calls).
    fn bisect(poison: &[bool], guess: &str) -> (Vec<usize>, Vec<usize>, usize) {
        let units: Vec<(usize, Vec<Change>)> = (0..poison.len())
            .map(|at| (at, unit(&format!("segment-{at}"))))
            .collect();
        let (mut landed, mut refused, mut calls, mut work) = (Vec::new(), Vec::new(), 0, vec![units]);
        while let Some(part) = work.pop() {
            if part.is_empty() {
                continue;
            }
            calls += 1;
            if part.iter().all(|(at, _)| !poison[*at]) {
                landed.extend(part.iter().map(|(at, _)| *at));
            } else if part.len() == 1 {
                refused.push(part[0].0);
            } else {
                let (one, other) = split(part, Some(&refusal(guess, &[])), |(_, changes)| {
                    changes.as_slice()
                });
                assert!(!one.is_empty() && !other.is_empty());
                work.extend([other, one]);
            }
        }
        landed.sort_unstable();
        refused.sort_unstable();
        (landed, refused, calls)
    }

    proptest! {
        /// Whatever is poisoned and whatever the message hints at, the good units land and the bad ones stand alone.
        #[test]
        fn every_good_unit_lands(poison in prop::collection::vec(prop::bool::weighted(0.1), 1..200), hint in 0_usize..250) {
            let (landed, refused, calls) = bisect(&poison, &format!("segment-{hint} is wrong"));
            let expect = |bad: bool| (0..poison.len()).filter(|at| poison[*at] == bad).collect::<Vec<_>>();
            prop_assert_eq!(landed, expect(false));
            prop_assert_eq!(&refused, &expect(true));
            let depth = usize::try_from(poison.len().next_power_of_two().ilog2()).unwrap();
            prop_assert!(calls <= 1 + refused.len() * 2 * (depth + 2), "{} calls for {}", calls, refused.len());
        }
    }

    #[test]
    fn a_good_hint_saves_calls() {
        let mut poison = vec![false; 1000];
        poison[777] = true;
        assert_eq!(bisect(&poison, "segment-777 is wrong").2, 3);
        assert!(bisect(&poison, "something is wrong").2 <= 21);
    }
}
