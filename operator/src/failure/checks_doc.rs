//! `docs/vic-machine-checks.md`: every step of vic-machine's validation stands in it, and the reasons are ones that
//! the operator gives.

use std::collections::BTreeSet;

const DOC: &str = include_str!("../../../docs/vic-machine-checks.md");
const REASONS: [&str; 5] = [
    include_str!("dereference.rs"),
    include_str!("validate.rs"),
    include_str!("plan.rs"),
    include_str!("apply.rs"),
    include_str!("engines.rs"),
];

/// Cells of the rows of the tables, without their heads.
fn rows() -> Vec<Vec<&'static str>> {
    let is_row =
        |line: &&str| line.starts_with("| ") && !line.starts_with("| step") && !line.starts_with("| check");
    DOC.lines()
        .filter(is_row)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The words in backticks that begin with a capital: reasons.
fn reasons(cell: &str) -> Vec<&str> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with(char::is_uppercase) && *word != "ContainerNetwork")
        .collect()
}

#[test]
fn each_step_is_told_of() {
    let steps: BTreeSet<u32> = rows().iter().filter_map(|row| row[0].parse().ok()).collect();
    assert_eq!(
        steps,
        (1..=16).collect(),
        "the sixteen steps of vic-machine's validation"
    );
}

#[test]
fn what_is_checked_has_a_reason_and_what_is_not_an_explanation() {
    for row in rows() {
        let last = *row.last().unwrap();
        match row.len() {
            4 if ["no", "not yet"].contains(&row[2]) => {
                assert!(last.contains(' ') && last.ends_with('.'), "{row:?}");
            }
            4 => assert_eq!(row[2], "yes", "{row:?}"),
            columns => assert_eq!(columns, 2, "{row:?}"),
        }
        let told = reasons(last);
        assert!(row.len() == 4 && row[2] != "yes" || !told.is_empty(), "{row:?}");
        for reason in told {
            let quoted = format!("\"{reason}\"");
            assert!(
                REASONS.iter().any(|file| file.contains(&quoted)),
                "{reason} is no reason: {row:?}"
            );
        }
    }
}
