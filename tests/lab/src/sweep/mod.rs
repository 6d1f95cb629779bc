//! What an operator survives: kills at random, a kill at every call it makes, and faults of what it talks to.

pub mod baseline;
pub mod crash;
pub mod fault_sweep;
pub mod faults;
pub mod kill;
pub mod point;
pub mod report;
pub mod scenario;
pub mod stage;
pub mod state;

use crate::error::{Error, Result};

/// An error for an input that a user got wrong.
fn wrong(what: impl Into<String>) -> Error {
    Error::Other(what.into())
}

/// Every n-th of a list, so that `sample` remain, spread over the whole. All without a sample.
#[must_use]
pub fn sampled<T>(list: Vec<T>, sample: Option<usize>) -> Vec<T> {
    let all = list.len();
    let wanted = sample.unwrap_or(all).min(all);
    if wanted == all {
        return list;
    }
    // The k-th that is taken is the one at k * all / wanted.
    let mut taken = 0;
    list.into_iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let due = taken < wanted && index == taken * all / wanted.max(1);
            taken += usize::from(due);
            due.then_some(item)
        })
        .collect()
}

/// Reads a report that an earlier run left, to go on from there; `None` where there is none.
///
/// # Errors
/// There is one that cannot be read.
fn earlier(path: &std::path::Path) -> Result<Option<serde_json::Value>> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| wrong(format!("{} is no report to go on from: {error}", path.display()))),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_the_whole_list() {
        let list: Vec<usize> = (0..10).collect();
        assert_eq!(sampled(list.clone(), Some(5)), [0, 2, 4, 6, 8]);
        assert_eq!(sampled(list.clone(), Some(3)), [0, 3, 6]);
        assert_eq!(sampled(list.clone(), Some(0)), Vec::<usize>::new());
        assert_eq!(sampled(list.clone(), Some(20)), list);
        assert_eq!(sampled(list.clone(), None), list);
    }

    #[test]
    fn a_file_that_is_no_report_is_told_and_none_at_all_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.json");
        assert_eq!(earlier(&path).unwrap(), None);
        std::fs::write(&path, "{").unwrap();
        assert!(
            earlier(&path)
                .unwrap_err()
                .to_string()
                .contains("no report to go on from")
        );
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(earlier(&path).unwrap(), Some(serde_json::json!({})));
    }
}
