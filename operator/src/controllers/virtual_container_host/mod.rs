//! `VirtualContainerHost`: a pool, a folder and an endpoint VM in them that serves the Docker API.

mod apply;
mod claims;
mod connection;
mod containers;
mod datastore;
mod dereference;
pub(in crate::controllers) mod find;
mod maintenance;
mod networks;
mod options;
mod plan;
mod removal;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use vic_crds::{ManagementPolicy, VirtualContainerHost, VirtualContainerHostStatus};

use crate::certificates::{self, Bundle, CertificateError};
use crate::conditions::Summary;
use crate::context::Context;
use crate::failure::{ApplyError, Failure, PlanError};
use crate::kind::{Kind, ObjectKey};
use crate::metrics::Repairs;
use crate::runner::{Declared, announce, key_of, repairs_of};

/// Longest name of a VCH, as VIC has it.
const NAME_LIMIT: usize = 31;

impl Declared for VirtualContainerHost {
    type Status = VirtualContainerHostStatus;
    const KIND: Kind = Kind::VirtualContainerHost;
    const PATIENCE: Duration = crate::settings::QUIET;

    fn current(&self) -> Option<&VirtualContainerHostStatus> {
        self.status.as_ref()
    }
    fn conditions(status: &VirtualContainerHostStatus) -> &[Condition] {
        &status.conditions
    }
    fn conclude(
        status: &mut VirtualContainerHostStatus,
        generation: Option<i64>,
        conditions: Vec<Condition>,
    ) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    async fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut VirtualContainerHostStatus,
    ) -> Result<Summary, Failure> {
        let key = key_of(&*self);
        let references = dereference::dereference(&self, &ctx, &key)?;
        let wanted = validate::validate(&self, &ctx, &key, &references)?;
        let reconciling = Reconciling {
            vch: &self,
            ctx: &ctx,
            key: &key,
            references: &references,
            wanted: &wanted,
        };
        reconciling.run(details).await
    }

    async fn finalize(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut VirtualContainerHostStatus,
    ) -> Result<(), Failure> {
        removal::remove(&self, &ctx, &key_of(&*self), details).await
    }
}

/// One reconcile, once it is known what is wanted.
struct Reconciling<'a> {
    vch: &'a VirtualContainerHost,
    ctx: &'a Context,
    key: &'a ObjectKey,
    references: &'a dereference::References,
    wanted: &'a validate::Wanted,
}

impl Reconciling<'_> {
    async fn run(&self, details: &mut VirtualContainerHostStatus) -> Result<Summary, Failure> {
        let Self {
            ctx,
            wanted,
            references,
            ..
        } = self;
        let ground = &references.ground;
        let observing = self.vch.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe;
        let state = find::state(ctx, self.key, references, wanted);
        plan::refuse(ctx, self.key, references, wanted, &state)?;
        let connection = connection::read(ctx, self.vch, &wanted.owner).await?;
        let bundle = self.certificates(observing).await?;
        let plan = plan::plan(wanted, &state, bundle.as_ref())?;
        let plan::Parts { live, restart } = plan::parts(wanted, bundle.as_ref(), plan);
        details.plan_id = restart.as_ref().map(|restart| restart.id.clone());
        if observing {
            details.plan = live.lines();
            details
                .plan
                .extend(restart.iter().flat_map(|restart| restart.plan.lines()));
            if !details.plan.is_empty() {
                return Ok(status::drifted());
            }
        }
        if let Some(bundle) = bundle.as_ref().filter(|_| !observing) {
            status::pin_names(references, details);
            let repairs = repairs_of(self.vch, ctx, self.key);
            apply::apply(ctx, ground, wanted, &state, bundle, live, &repairs).await?;
            if let Some(restart) = restart {
                // What the VM refers to may have been made just now.
                let state = find::state(ctx, self.key, references, wanted);
                self.restart(restart, &state, bundle, &repairs, details).await?;
            }
            details.plan.clear();
            details.plan_id = None;
        }
        let state = find::state(ctx, self.key, references, wanted);
        let up = status::up(wanted, &state, bundle.as_ref(), details)?;
        if !observing && let Some(bundle) = &bundle {
            let data = connection::content(wanted, &up, bundle);
            connection::write(ctx, self.vch, &wanted.owner, connection.as_ref(), data, details).await?;
        }
        status::serving(wanted, &up, bundle.as_ref()).await
    }

    /// Changes what needs the endpoint VM to be off, as soon as that may be; before that, the status says what.
    async fn restart(
        &self,
        restart: plan::Restart,
        state: &find::State,
        bundle: &Bundle,
        repairs: &Repairs,
        details: &mut VirtualContainerHostStatus,
    ) -> Result<(), Failure> {
        let Self { ctx, wanted, .. } = self;
        details.plan = restart.plan.lines();
        let vm = wanted.endpoint.name.clone();
        if let Some(until) = maintenance::waits_for(&wanted.maintenance, &restart.id, Timestamp::now()) {
            // What runs is told of as it is; that it is not as wanted is the outcome in any case.
            let _ = status::up(wanted, state, Some(bundle), details);
            return Err(PlanError::RestartWaits { vm, until }.into());
        }
        announce(
            self.vch,
            ctx,
            self.key,
            details,
            &ApplyError::Restarting(vm).into(),
        )
        .await?;
        let ground = &self.references.ground;
        apply::apply(ctx, ground, wanted, state, bundle, restart.plan, repairs).await
    }

    async fn certificates(&self, observing: bool) -> Result<Option<Bundle>, ApplyError> {
        let api = Api::<Secret>::namespaced(self.ctx.client.clone(), &self.ctx.settings.namespace);
        // The semaphore is never closed; without a permit the write is merely not bounded.
        let _permit = self.ctx.outbox.permits.acquire().await.ok();
        certificates::ensure(
            &api,
            &self.wanted.owner,
            &self.wanted.tls.certificates,
            !observing,
        )
        .await
        .map_err(|error| match error {
            CertificateError::Kube(error) => ApplyError::Kube(error),
            other => ApplyError::Certificates(other.to_string()),
        })
    }
}
