//! The controllers: watches, queues and the order in which they start and stop.

use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, controller, watcher};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::collect;
use crate::context::{Context, Filled, Stores};
use crate::facts::Facts;
use crate::health::{Health, Watching};
use crate::kind::{Kind, ObjectKey};
use crate::metrics::Metrics;
use crate::openings::{self, Openings};
use crate::outbox::Outbox;
use crate::runner::{self, Declared};
use crate::settings::{CONCURRENCY, FIELD_MANAGER, KUBE_WRITES, Settings};
use crate::sites::Sites;
use crate::tracker::Tracker;
use crate::wake::{Topic, Wake};

pub(crate) mod common;
mod consent;
pub mod container_network;
pub mod edge_gateway;
pub mod edge_nat_rule;
pub mod microsegmentation_policy;
pub mod site;
pub mod virtual_container_host;

/// Runs every controller until `shutdown`, then drains what is under way and logs out everywhere.
pub async fn run(client: Client, settings: Settings, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let (wake, tracker) = (Arc::new(Wake::default()), Arc::new(Tracker::default()));
    let mut filled = Filled::new(shutdown.clone());
    let health = metrics.health.clone();
    tokio::spawn(health.clone().beat());
    let mut cache = |resource| Cache {
        filled: filled.cache(),
        watching: health.watch(resource),
    };
    let (namespace_store, namespaces) = watch_namespaces(&client, wake.clone(), cache("namespaces"));
    let common = Common {
        client: &client,
        wake: &wake,
        tracker: &tracker,
        shutdown: &shutdown,
    };
    let (sites, site_store) = controller_of(&common, cache(Kind::Site.plural()));
    let (gateways, gateway_store) = controller_of(&common, cache(Kind::EdgeGateway.plural()));
    let (networks, network_store) = controller_of(&common, cache(Kind::ContainerNetwork.plural()));
    let (hosts, host_store) = controller_of(&common, cache(Kind::VirtualContainerHost.plural()));
    let (rules, rule_store) = controller_of(&common, cache(Kind::EdgeNatRule.plural()));
    let (policies, policy_store) = controller_of(&common, cache(Kind::MicrosegmentationPolicy.plural()));
    let stores = Stores {
        sites: site_store,
        gateways: gateway_store,
        networks: network_store,
        hosts: host_store,
        rules: rule_store,
        policies: policy_store,
        namespaces: namespace_store,
        filled: filled.clone(),
    };
    let references = watch_references(client.clone(), &settings.namespace, &wake, &health);
    let reporter = Reporter {
        controller: FIELD_MANAGER.to_owned(),
        instance: Some(settings.identity.clone()),
    };
    let ctx = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings,
        stores,
        sites: Sites::default(),
        facts: Facts::default(),
        wake,
        tracker,
        metrics,
        outbox: Outbox::new(KUBE_WRITES),
        openings: Openings::new(filled, shutdown.clone()),
    });
    let background = shutdown.clone();
    tokio::spawn(background.run_until_cancelled_owned(async move {
        futures::join!(namespaces, references);
    }));
    tokio::spawn(openings::open(ctx.clone()));
    tokio::spawn(
        shutdown
            .clone()
            .run_until_cancelled_owned(collect::run(ctx.clone())),
    );
    let outbox = tokio::spawn(ctx.outbox.clone().run());
    ctx.metrics.show(&ctx);
    tokio::spawn(stops(shutdown, health));
    futures::join!(
        drive(sites, ctx.clone()),
        drive(gateways, ctx.clone()),
        drive(networks, ctx.clone()),
        drive(hosts, ctx.clone()),
        drive(rules, ctx.clone()),
        drive(policies, ctx.clone()),
    );
    ctx.outbox.drain().await;
    outbox.abort();
    for connected in ctx.sites.connections() {
        connected.disconnect().await;
    }
}

/// Tells that watches end because they are meant to.
async fn stops(shutdown: CancellationToken, health: Arc<Health>) {
    shutdown.cancelled().await;
    health.stopping();
}

/// Who wants to know of a cache: those who wait until it is filled, and whoever asks whether the process is well.
struct Cache {
    filled: CancellationToken,
    watching: Watching,
}

/// What every controller is made of.
struct Common<'a> {
    client: &'a Client,
    wake: &'a Arc<Wake>,
    tracker: &'a Arc<Tracker>,
    shutdown: &'a CancellationToken,
}

fn controller_of<K: Declared>(common: &Common<'_>, cache: Cache) -> (Controller<K>, Store<K>) {
    let (reader, writer) = reflector::store();
    let tracker = common.tracker.clone();
    let stream = watcher(Api::<K>::all(common.client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .inspect(tells(cache))
        .applied_objects()
        .try_filter(move |object| std::future::ready(is_news(&tracker, object)));
    let woken = common.wake.clone().turns(K::KIND).map(|key| {
        let reference = ObjectRef::new(&key.name);
        if key.namespace.is_empty() {
            reference
        } else {
            reference.within(&key.namespace)
        }
    });
    let controller = Controller::for_stream(stream, reader.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(woken)
        .graceful_shutdown_on(common.shutdown.clone().cancelled_owned());
    (controller, reader)
}

/// Whether a version of an object is worth a reconcile: the echo of our own status is not.
fn is_news<K: Declared>(tracker: &Tracker, object: &K) -> bool {
    let uid = object.uid().unwrap_or_default();
    let status = runner::text_of::<K>(object.current());
    tracker.is_news(&runner::key_of(object), &uid, runner::mark_of(object), &status)
}

async fn drive<K: Declared>(controller: Controller<K>, ctx: Arc<Context>) {
    let wake = ctx.wake.clone();
    controller
        .run(runner::reconcile::<K>, |_, never, _| match *never {}, ctx)
        .for_each(|result| async {
            match result {
                Ok(_) => {}
                // An object that is gone from the cache before its turn came has nothing left to do.
                Err(controller::Error::ObjectNotFound(gone)) => {
                    let namespace = gone.namespace.unwrap_or_default();
                    wake.begins(&ObjectKey::new(K::KIND, &namespace, &gone.name));
                }
                Err(error) => tracing::warn!(kind = K::KIND.name(), %error, "the watch was interrupted"),
            }
        })
        .await;
}

/// What a namespace is granted follows its labels: a new label reconciles the objects in it.
fn watch_namespaces(
    client: &Client,
    wake: Arc<Wake>,
    cache: Cache,
) -> (
    Store<PartialObjectMeta<Namespace>>,
    impl Future<Output = ()> + Send + use<>,
) {
    let (reader, writer) = reflector::store();
    let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    let stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .inspect(tells(cache))
        .applied_objects()
        .map_ok(move |namespace| wake.changed(&Topic::Namespace(namespace.name_any())));
    (reader, drain(stream))
}

/// Looks at what a cache was given, and tells when that is all there is, and how the watch does.
fn tells<K>(cache: Cache) -> impl Fn(&Result<watcher::Event<K>, watcher::Error>) {
    let follows = follows(cache.watching);
    move |event| {
        follows(event);
        if matches!(event, Ok(watcher::Event::InitDone)) {
            cache.filled.cancel();
        }
    }
}

/// Looks at what a watch brings, for whoever asks whether the process is well.
fn follows<K>(watching: Watching) -> impl Fn(&Result<watcher::Event<K>, watcher::Error>) {
    move |event| match event {
        Ok(event) => {
            // A list that only begins has brought nothing yet: it may fail, again and again.
            if !matches!(event, watcher::Event::Init) {
                watching.came();
            }
            if matches!(event, watcher::Event::InitDone) {
                watching.filled();
            }
        }
        Err(_) => watching.failed(),
    }
}

async fn drain<T>(stream: impl Stream<Item = Result<T, watcher::Error>> + Send) {
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        if let Err(error) = event {
            tracing::debug!(%error, "a watch was interrupted");
        }
    }
}

/// A new Secret or ConfigMap in the operator's namespace reconciles the Sites that name it.
fn watch_references(
    client: Client,
    namespace: &str,
    wake: &Arc<Wake>,
    health: &Health,
) -> impl Future<Output = ()> + Send + use<> {
    let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), namespace);
    let config_maps = Api::<PartialObjectMeta<ConfigMap>>::namespaced(client, namespace);
    let tell = |kind: &'static str| {
        let wake = wake.clone();
        move |name: String| wake.changed(&Topic::Reference(format!("{kind}/{name}")))
    };
    let secrets = watcher(secrets, watcher::Config::default())
        .default_backoff()
        .inspect(follows(health.watch("secrets")))
        .touched_objects()
        .map_ok(|o| o.name_any())
        .map_ok(tell("Secret"));
    let config_maps = watcher(config_maps, watcher::Config::default())
        .default_backoff()
        .inspect(follows(health.watch("configmaps")))
        .touched_objects()
        .map_ok(|o| o.name_any())
        .map_ok(tell("ConfigMap"));
    async move {
        futures::join!(drain(secrets), drain(config_maps));
    }
}
