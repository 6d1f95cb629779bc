//! A vCenter that plays a script, for what the simulator cannot be made to do.

pub(crate) mod http;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use crate::config::Config;
use crate::xml::Node;
use http::{Answer, Request, Response};

/// A call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub method: String,
    pub cookie: Option<String>,
    pub request: Node,
}

/// A scripted vCenter. What is not scripted is answered as a healthy one would.
pub(crate) struct Scripted {
    pub url: String,
    shared: Arc<Shared>,
    waits: mpsc::UnboundedSender<Scene>,
}

/// One scripted answer.
#[derive(Clone, Debug)]
pub(crate) enum Scene {
    /// The content of the response element.
    Done(String),
    /// A fault of that type.
    Fault(&'static str),
    /// Another HTTP status, with an HTML page.
    Status(u16),
    /// The connection breaks.
    Break,
}

struct Shared {
    state: Mutex<State>,
    calls: watch::Sender<usize>,
    waits: AsyncMutex<mpsc::UnboundedReceiver<Scene>>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    scripts: HashMap<String, VecDeque<Scene>>,
    logins: usize,
    made: usize,
    /// Logins up to this one are lost.
    expired: usize,
}

impl Scripted {
    pub async fn start() -> Self {
        let (waits, script) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            calls: watch::Sender::new(0),
            waits: AsyncMutex::new(script),
        });
        let handler = shared.clone();
        let url = http::serve(Arc::new(move |request| handler.clone().answer(request).boxed())).await;
        Self { url, shared, waits }
    }

    pub fn config(&self) -> Config {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Config {
            url: self.url.clone(),
            datacenter: "DC0".to_owned(),
            username: "user".to_owned(),
            password: "secret".to_owned(),
            tls,
            user_agent: "test".to_owned(),
            mark_field: "mark".to_owned(),
            may_write: Arc::new(|| true),
            observer: Arc::new(()),
        }
    }

    /// Scripts the next answers to a method.
    pub fn script(&self, method: &str, scenes: impl IntoIterator<Item = Scene>) {
        self.state()
            .scripts
            .entry(method.to_owned())
            .or_default()
            .extend(scenes);
    }

    /// Answers the wait that is under way, or the next one.
    pub fn update(&self, scene: Scene) {
        self.waits.send(scene).unwrap();
    }

    /// Answers a wait with updates of the mirror's filter.
    pub fn objects(&self, version: &str, truncated: bool, objects: &str) {
        let set = format!(
            "<returnval><version>{version}</version><filterSet>\
             <filter type=\"PropertyFilter\">inventory</filter>{objects}</filterSet>\
             <truncated>{truncated}</truncated></returnval>"
        );
        self.update(Scene::Done(set));
    }

    /// Loses all logins so far.
    pub fn expire(&self) {
        let mut state = self.state();
        state.expired = state.logins;
    }

    /// The calls of a method so far.
    pub fn seen(&self, method: &str) -> Vec<Seen> {
        self.state()
            .seen
            .iter()
            .filter(|seen| seen.method == method)
            .cloned()
            .collect()
    }

    /// Waits until a method was called so often.
    pub async fn called(&self, method: &str, times: usize) {
        let mut calls = self.shared.calls.subscribe();
        calls
            .wait_for(|_| self.seen(method).len() >= times)
            .await
            .unwrap();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request) -> Answer {
        let envelope = Node::parse(&request.body).unwrap();
        let call = envelope.children[0].children[0].clone();
        let method = call.name.clone();
        let seen = Seen {
            method: method.clone(),
            cookie: request.cookie.clone(),
            request: call,
        };
        let scripted = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(seen);
            self.calls.send_modify(|calls| *calls += 1);
            state.scripts.get_mut(&method).and_then(VecDeque::pop_front)
        };
        let open = matches!(method.as_str(), "RetrieveServiceContent" | "Login");
        let scene = match scripted {
            Some(scene) => scene,
            None if !open && !self.is_valid(request.cookie.as_deref()) => Scene::Fault("NotAuthenticated"),
            None if method == "WaitForUpdatesEx" => self.waits.lock().await.recv().await?,
            None => Scene::Done(self.healthy(&method)),
        };
        let cookie = (method == "Login" && matches!(scene, Scene::Done(_))).then(|| {
            let mut state = self.state.lock().unwrap();
            state.logins += 1;
            format!(
                "vmware_soap_session=\"{}\"; Path=/; HttpOnly; Secure",
                state.logins
            )
        });
        response(&method, scene, cookie)
    }

    fn is_valid(&self, cookie: Option<&str>) -> bool {
        let number = cookie
            .and_then(|cookie| cookie.split('"').nth(1))
            .and_then(|number| number.parse().ok());
        number.is_some_and(|number: usize| number > self.state.lock().unwrap().expired)
    }

    fn healthy(&self, method: &str) -> String {
        let mut state = self.state.lock().unwrap();
        let returned = |kind: &str, value: &str| format!("<returnval type=\"{kind}\">{value}</returnval>");
        match method {
            "RetrieveServiceContent" => SERVICE_CONTENT.to_owned(),
            "RetrievePropertiesEx" => DATACENTERS.to_owned(),
            "CreatePropertyCollector" => returned("PropertyCollector", "own"),
            "CreateListView" => returned("ListView", "tasks"),
            "CreateFilter" => {
                state.made += 1;
                returned(
                    "PropertyFilter",
                    if state.made % 2 == 1 { "inventory" } else { "tasks" },
                )
            }
            task if task.ends_with("_Task") => {
                state.made += 2;
                returned("Task", &format!("task-{}", state.made))
            }
            _ => String::new(),
        }
    }
}

fn response(method: &str, scene: Scene, cookie: Option<String>) -> Answer {
    let (status, content) = match scene {
        Scene::Done(content) => (
            200,
            format!("<{method}Response xmlns=\"urn:vim25\">{content}</{method}Response>"),
        ),
        Scene::Fault(kind) => (
            500,
            format!(
                "<e:Fault><faultcode>x</faultcode><faultstring/><detail><{kind}Fault xmlns=\"urn:vim25\" \
                 i:type=\"{kind}\"/></detail></e:Fault>"
            ),
        ),
        Scene::Status(status) => {
            return Some(Response {
                status,
                cookie: None,
                body: "<html>".to_owned(),
            });
        }
        Scene::Break => return None,
    };
    let body = format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>{content}</e:Body></e:Envelope>"
    );
    Some(Response { status, cookie, body })
}

/// An update of a folder that says its name.
pub(crate) fn folder(kind: &str, id: &str, name: &str) -> String {
    format!(
        "<objectSet><kind>{kind}</kind><obj type=\"Folder\">{id}</obj><changeSet><name>name</name>\
         <op>assign</op><val>{name}</val></changeSet></objectSet>"
    )
}

const SERVICE_CONTENT: &str = r#"<returnval><rootFolder type="Folder">group-d1</rootFolder>
    <propertyCollector type="PropertyCollector">propertyCollector</propertyCollector>
    <viewManager type="ViewManager">ViewManager</viewManager>
    <about><name>x</name><fullName>Scripted</fullName><version>8.0.3</version><build>1</build>
    <apiVersion>8.0.3.0</apiVersion><instanceUuid>uuid</instanceUuid></about>
    <sessionManager type="SessionManager">SessionManager</sessionManager>
    <customFieldsManager type="CustomFieldsManager">CustomFieldsManager</customFieldsManager>
    <authorizationManager type="AuthorizationManager">AuthorizationManager</authorizationManager>
    <fileManager type="FileManager">FileManager</fileManager></returnval>"#;

const DATACENTERS: &str = r#"<returnval><objects><obj type="Datacenter">datacenter-1</obj>
    <propSet><name>name</name><val>DC0</val></propSet>
    <propSet><name>parent</name><val type="Folder">group-d1</val></propSet></objects></returnval>"#;
