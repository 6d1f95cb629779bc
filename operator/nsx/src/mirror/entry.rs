//! What is known of one object: the newest read, and the last word of our own.
//!
//! The search index lags. A read from it that began less than `lag` after our own write may show the past, so such a
//! read is believed only if it shows what we wrote. Times are since the engine's start; a read's time is its beginning.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::body::Body;
use crate::overlay;
use crate::row::{Row, State, type_name};
use crate::{Change, Realization};

/// How long an own write may stay unseen before it is looked for directly: the index rarely lags longer.
const DOUBT: Duration = Duration::from_secs(2);

/// Where a read comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The search index: the past, perhaps.
    Index,
    /// The object itself.
    Direct,
}

#[derive(Debug)]
struct Held {
    body: Body,
    modified: i64,
    state: State,
    read_at: Duration,
}

/// What we made NSX do, or were told by it directly: stands against older news.
#[derive(Debug)]
struct Claim {
    content: Content,
    since: Duration,
    /// `_last_modified_time` of a row that may be news or the past and was put aside: the object must be read again when
    /// the lag is over.
    put_aside: Option<i64>,
}

#[derive(Debug)]
enum Content {
    Put {
        body: Body,
        declared: Body,
        /// `_last_modified_time` before the write.
        base: Option<i64>,
        confirmed: bool,
    },
    Gone,
}

/// An object that NSX is deleting.
#[derive(Debug)]
struct Removal {
    since: Duration,
    /// The index has shown the object: once it no longer does, the object is gone.
    indexed: bool,
}

/// An object as it is to be seen.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) body: Body,
    pub(crate) realization: Realization,
    /// An own write that no read has confirmed yet.
    pub(crate) pending: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    resource_type: Cow<'static, str>,
    held: Option<Held>,
    claim: Option<Claim>,
    removal: Option<Removal>,
    /// Batches in flight that write this object.
    writing: u32,
    /// A read showed a change meanwhile, which may be our own doing.
    noticed: bool,
    /// Since when realization is awaited.
    unrealized_since: Option<Duration>,
    /// Why realization failed, once asked.
    cause: Option<String>,
}

/// What an absence meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    Nothing,
    /// The object that was being deleted is gone.
    RemovalOver,
    /// The object seems to be gone; a direct read tells.
    Suspect,
}

/// What the synchronisation still has to find out about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Since when it should be read, if it should.
    pub(crate) read_since: Option<Duration>,
    /// A read before this time would tell nothing new.
    pub(crate) not_before: Duration,
    /// It is being deleted; only its absence is of interest.
    pub(crate) removal: bool,
    /// NSX must be asked why realization failed.
    pub(crate) cause: bool,
    /// A claim that runs out by itself.
    pub(crate) expires: bool,
}

impl Needs {
    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

impl Entry {
    /// The object as it is to be seen.
    pub(crate) fn shown(&self) -> Option<Shown> {
        let (body, pending) = self.visible()?;
        Some(Shown {
            body: body.clone(),
            realization: self.realization(pending),
            pending,
        })
    }

    /// The body that is to be seen, and whether it is an own write that no read has confirmed yet.
    pub(crate) fn visible(&self) -> Option<(&Body, bool)> {
        let claimed = self.claim.as_ref().map(|claim| &claim.content);
        match (claimed, &self.held) {
            (Some(Content::Gone), _) | (None, None) => None,
            (
                Some(Content::Put {
                    body,
                    confirmed: false,
                    ..
                }),
                _,
            ) => Some((body, true)),
            (Some(Content::Put { .. }) | None, Some(held)) => Some((&held.body, false)),
            (Some(Content::Put { body, .. }), None) => Some((body, false)),
        }
    }

    pub(crate) fn resource_type(&self) -> &str {
        &self.resource_type
    }

    fn realization(&self, pending: bool) -> Realization {
        match self.held.as_ref().map_or(State::Unsaid, |held| held.state) {
            _ if pending => Realization::InProgress,
            State::Realized => Realization::Realized,
            State::Failed => {
                let message = self
                    .cause
                    .clone()
                    .unwrap_or_else(|| "NSX does not say why".to_owned());
                Realization::Failed { message }
            }
            State::InProgress => Realization::InProgress,
            State::Unsaid if self.unrealized_since.is_some() => Realization::InProgress,
            State::Unsaid => Realization::Unknown,
        }
    }

    pub(crate) fn is_removing(&self) -> bool {
        self.removal.is_some()
    }

    /// Nothing is known, and nothing under way.
    pub(crate) fn is_void(&self) -> bool {
        self.held.is_none() && self.claim.is_none() && self.removal.is_none() && self.writing == 0
    }

    /// No own word is standing: only reads speak.
    pub(crate) fn is_quiet(&self) -> bool {
        self.claim.is_none() && self.removal.is_none() && self.writing == 0
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writing > 0
    }

    /// Whether an absence in a read of the index that began at `read_at` would say something: not while our own word
    /// is fresh, nor soon after another read has seen the object.
    pub(crate) fn absence_counts(&self, read_at: Duration, lag: Duration) -> bool {
        let late = |since: Duration| read_at >= since + lag;
        self.writing == 0
            && self.claim.as_ref().is_none_or(|claim| late(claim.since))
            && self.held.as_ref().is_none_or(|held| late(held.read_at))
    }

    // -- own writes

    pub(crate) fn begin(&mut self, resource_type: &str) {
        self.writing += 1;
        if self.resource_type.is_empty() {
            self.resource_type = type_name(resource_type);
        }
    }

    /// A read showed a change while a batch was in flight.
    pub(crate) fn notice(&mut self) {
        self.noticed = true;
    }

    /// The batch is back. True if a read showed a change meanwhile.
    pub(crate) fn end(&mut self) -> bool {
        self.writing = self.writing.saturating_sub(1);
        std::mem::take(&mut self.noticed)
    }

    /// NSX accepted `change`. `indexed`: the index has shown the object before.
    pub(crate) fn land(&mut self, change: &Change, now: Duration, indexed: bool) {
        match change {
            Change::Put(intent) => {
                let claimed = match &self.claim {
                    Some(Claim {
                        content:
                            Content::Put {
                                body,
                                confirmed: false,
                                ..
                            },
                        ..
                    }) => Some(body.clone()),
                    _ => self.held.as_ref().map(|held| held.body.clone()),
                };
                let base = self.held.as_ref().map(|held| held.modified);
                self.resource_type = type_name(&intent.resource_type);
                self.removal = None;
                self.cause = None;
                self.unrealized_since = Some(now);
                self.claim = Some(Claim {
                    content: Content::Put {
                        body: overlay::overlay(intent, claimed.as_ref()),
                        declared: Body::of(&Value::Object(intent.body.clone())),
                        base,
                        confirmed: false,
                    },
                    since: now,
                    put_aside: None,
                });
            }
            Change::Delete { .. } => {
                if self.held.is_some() || self.claim.is_some() || indexed {
                    self.removal = Some(Removal { since: now, indexed });
                }
                self.go(now);
            }
        }
    }

    fn go(&mut self, now: Duration) {
        self.held = None;
        self.cause = None;
        self.unrealized_since = None;
        self.claim = Some(Claim {
            content: Content::Gone,
            since: now,
            put_aside: None,
        });
    }

    /// NSX said that the object of that name is still being deleted.
    pub(crate) fn note_removal(&mut self, now: Duration) {
        self.removal.get_or_insert(Removal {
            since: now,
            indexed: false,
        });
    }

    /// A search shows the object that is being deleted.
    pub(crate) fn still_there(&mut self) {
        if let Some(removal) = &mut self.removal {
            removal.indexed = true;
        }
    }

    // -- reads

    /// A read shows the object.
    pub(crate) fn see(&mut self, row: &Row, source: Source, read_at: Duration, lag: Duration) {
        if let Some(removal) = &mut self.removal {
            removal.indexed = true;
            if !row.marked && read_at >= removal.since + lag {
                self.removal = None;
            }
        }
        if !self.believes(row, source, read_at, lag) {
            return;
        }
        if row.marked {
            self.held = None;
            self.claim = None;
            self.unrealized_since = None;
            self.removal.get_or_insert(Removal {
                since: read_at,
                indexed: true,
            });
            return;
        }
        let before = self
            .held
            .as_ref()
            .filter(|held| held.modified == row.modified)
            .map(|held| held.state);
        let state = match row.state {
            State::Unsaid => before.unwrap_or(State::Unsaid),
            said => said,
        };
        if state != State::Failed {
            self.cause = None;
        }
        self.resource_type.clone_from(&row.resource_type);
        // Most reads show what is known: then the row's own text can go.
        let known = self.held.take().map(|held| held.body);
        self.held = Some(Held {
            body: known
                .filter(|body| *body == row.body)
                .unwrap_or_else(|| row.body.clone()),
            modified: row.modified,
            state,
            read_at,
        });
        match state {
            State::InProgress => self.unrealized_since = Some(self.unrealized_since.unwrap_or(read_at)),
            State::Realized | State::Failed => self.unrealized_since = None,
            State::Unsaid => {}
        }
    }

    /// Whether the row is newer than our own word, or shows it. Settles the claim if so.
    fn believes(&mut self, row: &Row, source: Source, read_at: Duration, lag: Duration) -> bool {
        let version = self.held.as_ref().map(|held| held.modified);
        let Some(claim) = &mut self.claim else {
            return !self.is_past(row, source, read_at, lag);
        };
        let settled = match source {
            Source::Direct => read_at >= claim.since,
            Source::Index => read_at >= claim.since + lag,
        };
        if settled {
            let past = self.is_past(row, source, read_at, lag);
            self.claim = None;
            if !row.marked {
                self.removal = None;
            }
            return !past;
        }
        match &mut claim.content {
            Content::Put {
                declared,
                base,
                confirmed,
                ..
            } if source == Source::Index
                && !row.marked
                && base.is_none_or(|base| row.modified >= base)
                && (*confirmed && version == Some(row.modified) || row.body.shows(declared)) =>
            {
                *confirmed = true;
                claim.put_aside = claim.put_aside.filter(|aside| *aside > row.modified);
                !self.is_past(row, source, read_at, lag)
            }
            Content::Put { .. } | Content::Gone => {
                if !row.marked {
                    claim.put_aside = claim.put_aside.max(Some(row.modified));
                }
                false
            }
        }
    }

    /// Whether the row is older than what is held, in a read that may show the past.
    fn is_past(&self, row: &Row, source: Source, read_at: Duration, lag: Duration) -> bool {
        let behind = match source {
            Source::Index => lag,
            Source::Direct => Duration::ZERO,
        };
        self.held
            .as_ref()
            .is_some_and(|held| row.modified < held.modified && read_at < held.read_at + behind)
    }

    /// A direct read found nothing.
    pub(crate) fn miss_directly(&mut self, read_at: Duration) {
        let newest = self.claim.as_ref().is_none_or(|claim| read_at >= claim.since)
            && self.held.as_ref().is_none_or(|held| read_at >= held.read_at);
        if self.writing == 0 && newest {
            self.go(read_at);
        }
    }

    /// A search that would show the object, deleted or not, did not.
    pub(crate) fn miss(&mut self, read_at: Duration, lag: Duration) -> Missed {
        if let Some(removal) = &self.removal {
            let over = read_at >= removal.since && (removal.indexed || read_at >= removal.since + lag);
            if !over {
                return Missed::Nothing;
            }
            self.removal = None;
            if let Some(claim) = &mut self.claim {
                claim.put_aside = None;
            }
            return Missed::RemovalOver;
        }
        if !self.absence_counts(read_at, lag) {
            return Missed::Nothing;
        }
        match &mut self.claim {
            Some(Claim {
                content: Content::Gone,
                ..
            }) => {
                self.claim = None;
                Missed::Nothing
            }
            Some(_) => Missed::Suspect,
            None if self.held.is_some() => Missed::Suspect,
            None => Missed::Nothing,
        }
    }

    /// What NSX answered when asked for the realization of this one object.
    pub(crate) fn realize(&mut self, state: State, cause: Option<String>) {
        let Some(held) = &mut self.held else { return };
        held.state = state;
        if matches!(state, State::Realized | State::Failed) {
            self.unrealized_since = None;
        }
        self.cause = cause;
    }

    /// Whether the index contradicts an own write for longer than it usually lags, or after it has shown the write.
    pub(crate) fn is_disputed(&self, read_at: Duration) -> bool {
        let Some(claim) = &self.claim else { return false };
        self.writing == 0
            && self.removal.is_none()
            && match claim.content {
                Content::Put { confirmed: true, .. } => claim.put_aside.is_some(),
                Content::Put { confirmed: false, .. } => read_at >= claim.since + DOUBT,
                Content::Gone => false,
            }
    }

    /// Lets a claim go that the lag has made needless.
    pub(crate) fn expire(&mut self, now: Duration, lag: Duration) {
        let over = self.claim.as_ref().is_some_and(|claim| {
            now >= claim.since + lag
                && claim.put_aside.is_none()
                && match claim.content {
                    Content::Put { confirmed, .. } => confirmed,
                    Content::Gone => self.removal.is_none(),
                }
        });
        if over {
            self.claim = None;
        }
    }

    /// What is still to be found out. `owned` objects are followed until they are realized.
    pub(crate) fn needs(&self, owned: bool, lag: Duration) -> Needs {
        let mut needs = Needs {
            removal: self.removal.is_some(),
            expires: self.claim.is_some(),
            ..Needs::default()
        };
        if let Some(removal) = &self.removal {
            needs.read_since = Some(removal.since);
        } else if let Some(claim) = &self.claim {
            let confirmed = matches!(
                claim.content,
                Content::Put { confirmed: true, .. } | Content::Gone
            );
            needs.read_since = (!confirmed || claim.put_aside.is_some()).then_some(claim.since);
            if confirmed && claim.put_aside.is_some() {
                needs.not_before = claim.since + lag;
            }
        }
        if owned && !needs.removal && self.held.is_some() {
            if self.unrealized_since.is_some() {
                needs.read_since = self.unrealized_since;
                needs.not_before = Duration::ZERO;
            }
            let failed = self.held.as_ref().is_some_and(|held| held.state == State::Failed);
            needs.cause = failed && self.cause.is_none();
        }
        needs
    }

    /// Whether the newest read said nothing about realization, though it is awaited.
    pub(crate) fn is_silent(&self) -> bool {
        self.unrealized_since.is_some() && self.held.as_ref().is_some_and(|held| held.state == State::Unsaid)
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.state == State::Failed)
    }
}
