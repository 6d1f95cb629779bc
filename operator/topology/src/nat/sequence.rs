//! Where a rule stands among others: its priority, spread over NSX's sequence numbers.
//!
//! The number follows from the rule's own priority alone. A rule that comes between two others therefore never moves
//! them, and a hand finds room between two neighbours.

/// Distance between the sequence numbers of two priorities that follow each other.
pub const SPACING: u32 = 1000;

/// The place of a rule in its gateway's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At a priority, as this operator writes it.
    Priority(u32),
    /// At a sequence number between two priorities, as only others write it.
    Sequence(u32),
}

impl Place {
    /// Reads a `sequence_number`.
    #[must_use]
    pub fn of_sequence(number: u32) -> Self {
        if number.is_multiple_of(SPACING) {
            Self::Priority(number / SPACING)
        } else {
            Self::Sequence(number)
        }
    }

    /// Whether nothing says which of two rules at these places comes first. A foreign number meets the priority whose
    /// room it stands in, and the priority of the same number: whoever wrote `500` by hand meant it.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Priority(priority), Self::Sequence(number))
            | (Self::Sequence(number), Self::Priority(priority)) => {
                number == priority || number / SPACING == priority
            }
            (one, other) => one == other,
        }
    }
}

/// The sequence number of a priority.
#[must_use]
pub fn sequence(priority: u32) -> u32 {
    priority.saturating_mul(SPACING)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_foreign_number_meets_the_priority_it_stands_at() {
        use Place::{Priority, Sequence};
        let cases = [
            (Priority(500), Priority(500), true),
            (Priority(500), Priority(501), false),
            (Priority(500), Place::of_sequence(500), true),
            (Priority(500), Place::of_sequence(500_000), true),
            (Priority(500), Place::of_sequence(500_999), true),
            (Priority(500), Place::of_sequence(501_000), false),
            (Priority(0), Place::of_sequence(0), true),
            (Priority(0), Place::of_sequence(7), true),
            (Sequence(7), Sequence(7), true),
            (Sequence(7), Sequence(8), false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(one.meets(other), expected, "{one:?} {other:?}");
            assert_eq!(other.meets(one), expected, "{other:?} {one:?}");
        }
    }

    proptest! {
        #[test]
        fn priorities_keep_their_order_and_leave_room(one in 0_u32..=1000, other in 0_u32..=1000) {
            prop_assert_eq!(one.cmp(&other), sequence(one).cmp(&sequence(other)));
            prop_assert!(one == other || sequence(one).abs_diff(sequence(other)) >= SPACING);
            prop_assert_eq!(Place::of_sequence(sequence(one)), Place::Priority(one));
        }
    }
}
