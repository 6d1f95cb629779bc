//! One point of a crash sweep: the operator is killed exactly before or after one call.

use super::scenario::{Phase, Scenario};
use super::stage::{Life, Stage};
use super::state::State;
use crate::error::{Error, Result};
use crate::kubegate::Stop;
use crate::poc::calls::Call;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long a call that only asks may come later than the end of its phase: some periods of the look at NSX.
const STRAGGLER: Duration = Duration::from_secs(8);

/// Whom the operator calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// The NSX manager.
    Nsx,
    /// The vCenter.
    Vcenter,
    /// The kube-apiserver.
    Kube,
}

/// When the operator is killed, and what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// The call never reaches the server; the next operator goes on.
    Before,
    /// The call takes effect, and its answer is never seen; the next operator goes on.
    After,
    /// As [`Self::After`]; and the objects are deleted before the next operator starts.
    Deleted,
}

impl Moment {
    /// The moments that make a difference for a call.
    #[must_use]
    pub fn of(call: &CallId) -> Vec<Self> {
        if call.phase == Phase::Delete || call.asks() {
            vec![Self::Before, Self::After]
        } else {
            vec![Self::Before, Self::After, Self::Deleted]
        }
    }

    fn stop(self) -> Stop {
        match self {
            Self::Before => Stop::Before,
            Self::After | Self::Deleted => Stop::After,
        }
    }
}

/// A call of the undisturbed run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    /// When.
    pub phase: Phase,
    /// To whom.
    pub system: System,
    /// By which name.
    pub name: String,
    /// The how many-th of that name in the phase, from one.
    pub nth: usize,
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = match self.system {
            System::Nsx => "nsx",
            System::Vcenter => "vcenter",
            System::Kube => "kube",
        };
        write!(f, "{}: {system} {} #{}", self.phase, self.name, self.nth)
    }
}

impl CallId {
    /// Whether the call only asks: how often that happens depends on the clock.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.name.starts_with("GET ")
    }
}

/// The undisturbed run: what is called, and where each phase leads.
#[derive(Clone, Debug)]
pub struct Record {
    /// The scenario.
    pub scenario: Scenario,
    /// The calls.
    pub calls: Vec<CallId>,
    states: BTreeMap<Phase, State>,
}

impl Record {
    /// Where a phase leads.
    #[must_use]
    pub fn state(&self, phase: Phase) -> Option<&State> {
        self.states.get(&phase)
    }
}

/// Runs the scenario undisturbed and records it. A first run warms up what later ones find: images, definitions.
///
/// # Errors
/// The scenario does not come to its end.
pub async fn record(stage: &mut Stage, scenario: Scenario) -> Result<Record> {
    undisturbed(stage, scenario).await?;
    let (first, _) = undisturbed(stage, scenario).await?;
    let (second, states) = undisturbed(stage, scenario).await?;
    Ok(Record {
        scenario,
        calls: common(first, &second),
        states,
    })
}

type Counts = BTreeMap<(Phase, System, String), usize>;

async fn undisturbed(stage: &mut Stage, scenario: Scenario) -> Result<(Counts, BTreeMap<Phase, State>)> {
    let life = stage.life(scenario)?;
    let (mut counts, mut states) = (Counts::new(), BTreeMap::new());
    for phase in Phase::ALL {
        stage.forget().await?;
        let expected = stage.perform(&life, phase).await?;
        let end = stage.settle(&life, phase, &expected, None).await?;
        let (nsx, vcenter) = stage.calls().await?;
        let named = |system: System| move |call: &Call| (phase, system, call.name());
        let kube = stage.gate.log();
        let all = nsx
            .iter()
            .map(named(System::Nsx))
            .chain(vcenter.iter().map(named(System::Vcenter)))
            .chain(kube.into_iter().map(|name| (phase, System::Kube, name)));
        for call in all {
            *counts.entry(call).or_insert(0) += 1;
        }
        states.insert(phase, end);
    }
    Ok((counts, states))
}

/// The calls that both runs made: what came of the clock alone is left out.
fn common(first: Counts, second: &Counts) -> Vec<CallId> {
    let shared = first.into_iter().map(|(call, count)| {
        let count = count.min(second.get(&call).copied().unwrap_or_default());
        (call, count)
    });
    let calls = shared.flat_map(|((phase, system, name), count)| {
        (1..=count).map(move |nth| CallId {
            phase,
            system,
            name: name.clone(),
            nth,
        })
    });
    calls.collect()
}

/// Lives one life and kills the operator at a call. What must hold then: the phase leads where it leads undisturbed, and
/// a deletion leaves nothing.
///
/// # Errors
/// It does not hold; or the call was never made.
pub async fn run(stage: &mut Stage, record: &Record, call: &CallId, moment: Moment) -> Result<()> {
    let life = stage.life(record.scenario)?;
    let before = Phase::ALL.into_iter().filter(|phase| *phase < call.phase);
    // A deletion is tried on what was just created.
    let before = before.filter(|phase| *phase == Phase::Create || call.phase != Phase::Delete);
    for phase in before {
        let expected = stage.perform(&life, phase).await?;
        stage.settle(&life, phase, &expected, record.state(phase)).await?;
    }
    arm(stage, call, moment.stop()).await?;
    let expected = stage.perform(&life, call.phase).await?;
    let reached = reached(stage, &life, call, &expected).await;
    stage.kill_operator();
    release(stage).await?;
    if moment == Moment::Deleted {
        stage.perform(&life, Phase::Delete).await?;
    }
    stage.start_operator().await?;
    let reached = reached?;
    if call.phase == Phase::Delete || moment == Moment::Deleted {
        stage.settle(&life, Phase::Delete, &[], None).await?;
    } else {
        let reference = record.state(call.phase);
        stage.settle(&life, call.phase, &expected, reference).await?;
        stage.perform(&life, Phase::Delete).await?;
        stage.settle(&life, Phase::Delete, &[], None).await?;
    }
    if reached {
        Ok(())
    } else {
        Err(Error::Other(format!("{call} was never made")))
    }
}

/// Waits until the call is held, or until its phase is over without it.
async fn reached(
    stage: &Stage,
    life: &Life,
    call: &CallId,
    expected: &[(crate::kinds::Key, i64)],
) -> Result<bool> {
    let over = stage.settle(life, call.phase, expected, None);
    tokio::select! {
        held = held(stage, call.system, super::stage::PATIENCE) => return held,
        over = over => over?,
    };
    // The last status may be the call that is held: it shows only now.
    let patience = if call.asks() {
        STRAGGLER
    } else {
        Duration::from_secs(1)
    };
    held(stage, call.system, patience).await
}

async fn arm(stage: &Stage, call: &CallId, stop: Stop) -> Result<()> {
    let action = match stop {
        Stop::Before => "hold-before",
        Stop::After => "hold-after-commit",
    };
    let after = call.nth.saturating_sub(1);
    match call.system {
        System::Nsx => {
            let (method, template) = call.name.split_once(' ').unwrap_or((&call.name, ""));
            let matched = json!({"method": method, "template": template, "client": "vic-operator/"});
            let fault = json!({"match": matched, "after": after, "action": action});
            stage.lab.nsx.control.post("/faults", &fault).await?;
        }
        System::Vcenter => {
            let matched = json!({"method": call.name, "user": stage.lab.vcenter.username});
            let fault = json!({"match": matched, "after": after, "action": action});
            stage.lab.vcenter.control.post("/faults", &fault).await?;
        }
        System::Kube => stage.gate.arm(&call.name, call.nth, stop),
    }
    Ok(())
}

async fn held(stage: &Stage, system: System, limit: Duration) -> Result<bool> {
    let control = match system {
        System::Nsx => &stage.lab.nsx.control,
        System::Vcenter => &stage.lab.vcenter.control,
        System::Kube => return Ok(stage.gate.held(limit).await),
    };
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let told = control
            .get(&format!("/held?wait_ms={}", left.as_millis()))
            .await?;
        if told
            .get("held")
            .and_then(Value::as_u64)
            .is_some_and(|held| held > 0)
        {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}

/// Takes every stop and fault away.
///
/// # Errors
/// A control port does not answer.
pub async fn release(stage: &Stage) -> Result<()> {
    for control in [&stage.lab.nsx.control, &stage.lab.vcenter.control] {
        control.call(Method::DELETE, "/faults", None).await?;
    }
    stage.gate.release();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_not_deleted_again_and_a_question_changes_nothing() {
        let call = |phase, name: &str| CallId {
            phase,
            system: System::Nsx,
            name: name.to_owned(),
            nth: 1,
        };
        assert_eq!(Moment::of(&call(Phase::Create, "PATCH /infra")).len(), 3);
        assert_eq!(Moment::of(&call(Phase::Create, "GET /search")).len(), 2);
        assert_eq!(Moment::of(&call(Phase::Delete, "PATCH /infra")).len(), 2);
        assert_eq!(Moment::Deleted.stop(), Stop::After);
    }

    #[test]
    fn only_what_both_runs_called_is_swept_and_each_call_by_its_number() {
        let call = |name: &str| (Phase::Create, System::Nsx, name.to_owned());
        let first = Counts::from([
            (call("PATCH /infra"), 2),
            (call("GET /search"), 7),
            (call("GET /once"), 1),
        ]);
        let second = Counts::from([(call("PATCH /infra"), 2), (call("GET /search"), 1)]);
        let told: Vec<String> = common(first, &second).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "create: nsx GET /search #1",
                "create: nsx PATCH /infra #1",
                "create: nsx PATCH /infra #2",
            ]
        );
    }
}
