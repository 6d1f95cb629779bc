//! What a process has cost, as the kernel and its own metrics tell.

use crate::error::{Context, Error, Result};
use std::fs;

/// Ticks of `/proc/<pid>/stat` in a second: `USER_HZ` is 100 on every architecture that this runs on.
const TICKS: f64 = 100.0;

/// Processor time that a process has used, user and system, in seconds.
///
/// # Errors
/// The process is gone.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(|| format!("read {path}"))?;
    ticks(&stat)
        .map(|ticks| f64::from(ticks) / TICKS)
        .ok_or_else(|| Error::Other(format!("{path} is not as expected: {stat}")))
}

/// Fields 14 and 15; the second is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Reconciles of a kind that have ended, from the operator's metrics: all, and those that found it ready.
///
/// # Errors
/// The metrics are not served.
pub async fn reconciles(metrics_url: &str, kind: &str) -> Result<(u64, u64)> {
    let url = format!("{metrics_url}/metrics");
    let what = || format!("GET {url}");
    let http = reqwest::Client::builder().no_proxy().build().context(what)?;
    let text = http
        .get(&url)
        .send()
        .await
        .context(what)?
        .text()
        .await
        .context(what)?;
    Ok(counted(&text, kind))
}

fn counted(text: &str, kind: &str) -> (u64, u64) {
    let of_kind = format!("kind=\"{kind}\"");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("vic_operator_reconciles_total{") && line.contains(&of_kind));
    lines.fold((0, 0), |(all, ready), line| {
        let count: u64 = line
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse().ok())
            .unwrap_or_default();
        let is_ready = line.contains("outcome=\"Ready\"");
        (all + count, ready + if is_ready { count } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "42 (a ) (b) S 1 42 42 0 -1 4194560 900 0 0 0 120 30 0 0 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("42 (x) S"), None);
        assert!(cpu_seconds(std::process::id()).is_ok());
    }

    #[test]
    fn reconciles_are_counted_by_kind() {
        let text = "# TYPE vic_operator_reconciles counter\n\
            vic_operator_reconciles_total{kind=\"EdgeNatRule\",outcome=\"Ready\"} 7\n\
            vic_operator_reconciles_total{kind=\"EdgeNatRule\",outcome=\"Realizing\"} 5\n\
            vic_operator_reconciles_total{kind=\"Site\",outcome=\"Ready\"} 3\n";
        assert_eq!(counted(text, "EdgeNatRule"), (12, 7));
        assert_eq!(counted(text, "ContainerNetwork"), (0, 0));
    }
}
