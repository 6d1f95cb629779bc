//! Knobs. Where the real behaviour is not known the default is the one that is harder on a client.

use serde::{Deserialize, Serialize};

/// Everything `POST /tune` can change; a body names the knobs to turn, the others stay.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each a knob of its own"
)]
pub struct Tuning {
    /// From accepted to realized, milliseconds.
    pub realization_delay_ms: u64,
    /// From deleted to gone, milliseconds; until then the path cannot be used again.
    pub deletion_delay_ms: u64,
    /// How far search lags behind, milliseconds.
    pub search_delay_ms: u64,
    /// From a vNIC's appearing or vanishing to its segment port's, milliseconds.
    pub port_delay_ms: u64,
    /// Time every answer takes at least, milliseconds.
    pub latency_ms: u64,
    /// Time a hierarchical call takes on top, microseconds for each object in it.
    pub latency_per_object_us: u64,
    /// Requests a user may send each second; 0 = no limit.
    pub rate_limit: u32,
    /// Requests a user may have open at the same time; 0 = no limit.
    pub concurrency_limit: u32,
    /// Requests all users may have open at the same time; 0 = no limit.
    pub global_concurrency_limit: u32,
    /// A session lives this long without a request, seconds.
    pub session_timeout_s: u64,
    /// `product_version` and `node_version`.
    pub node_version: String,
    /// Most objects of one hierarchical call.
    pub hierarchy_limit: usize,
    /// Subnets of a segment: 1 since 9.1, 2 (one a family) before.
    pub max_subnets: usize,
    /// Does a PATCH that changes nothing raise `_revision`? Not documented.
    pub noop_patch_raises_revision: bool,
    /// Does a hierarchical delete of what does not exist fail? Not documented.
    pub hierarchy_delete_of_missing_fails: bool,
    /// Do search queries with ranges work? Documented nowhere.
    pub search_ranges: bool,
    /// Is `unique_id` another value than `realization_id`? Normally the same, promised nowhere.
    pub distinct_unique_id: bool,
    /// Do lists omit `cursor` on their last page? Recalled.
    pub list_omits_last_cursor: bool,
    /// `error_code` that goes with 412. The number is not verified.
    pub stale_revision_code: i64,
    /// Status that answers a session which has ended: 403, or 401.
    pub expired_session_status: u16,
    /// Does a type-filtered tree show the way to its objects as references instead of objects? Not documented.
    pub tree_shows_way_as_references: bool,
    /// Does a list of policies carry their rules? Recalled that it does not.
    pub lists_embed_rules: bool,
    /// `"60508"`, `"60514"`, `"60515"` or `"60576"`: search answers with this error.
    pub search_error: Option<i64>,
    /// Merge on PATCH for everyone, as `nsx-partial-patch-config` says.
    pub partial_patch: bool,
    /// Realizations that fail.
    pub realization_faults: Vec<RealizationFault>,
}

/// Intents whose realization fails as long as this is set.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RealizationFault {
    /// Policy path; `*` stands for anything.
    pub path: String,
    /// What the alarm says.
    pub message: String,
    /// Code of the alarm's cause.
    #[serde(default)]
    pub error_code: i64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            realization_delay_ms: 300,
            deletion_delay_ms: 1_000,
            search_delay_ms: 1_000,
            port_delay_ms: 200,
            latency_ms: 0,
            latency_per_object_us: 0,
            rate_limit: 100,
            concurrency_limit: 40,
            global_concurrency_limit: 199,
            session_timeout_s: 1_800,
            node_version: "9.1.0.0.0.24733063".into(),
            hierarchy_limit: 5_000,
            max_subnets: 1,
            noop_patch_raises_revision: true,
            hierarchy_delete_of_missing_fails: true,
            search_ranges: false,
            distinct_unique_id: true,
            list_omits_last_cursor: true,
            stale_revision_code: 604,
            expired_session_status: 403,
            tree_shows_way_as_references: false,
            lists_embed_rules: false,
            search_error: None,
            partial_patch: false,
            realization_faults: Vec::new(),
        }
    }
}
