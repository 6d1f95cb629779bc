//! `/policy/api/v1`: intents, one by one or as a tree.

use http::Method;
use serde_json::{Value, json};

use super::actions;
use super::answer::Answer;
use super::request::Request;
use super::runtime;
use crate::error::{FIELD, NsxError};
use crate::paths::{Located, ORG_ROOT, locate};
use crate::search;
use crate::world::list::Paging;
use crate::world::tree::Wanted;
use crate::world::write::{Change, Mode, Terms};
use crate::world::{Actor, World};

/// Header that turns partial patch on for one request.
const PARTIAL_PATCH: &str = "nsx-enable-partial-patch";

/// Everything below `/policy/api/v1`, and how many objects a hierarchical call had.
pub fn answer(world: &mut World, request: &Request, path: &str, actor: &Actor) -> (Answer, u64) {
    if request.method == Method::PATCH
        && let Some(Located::Root { kind }) = locate(path)
    {
        let (result, count) = hierarchy(world, request, path, kind, actor);
        return (result.into(), count);
    }
    (single(world, request, path, actor).into(), 0)
}

fn single(world: &mut World, request: &Request, path: &str, actor: &Actor) -> Result<Answer, NsxError> {
    match path {
        // Long-lived clients know it by its older name.
        "/search/query" | "/search" if request.method == Method::GET => {
            return Ok(Answer::json(&search::search(world, &request.query)?));
        }
        "/system-config/nsx-partial-patch-config" => return partial_patch(world, request),
        _ => {}
    }
    if let Some(answer) = runtime::answer(world, request, path, actor) {
        return answer;
    }
    if let Some(answer) = actions::answer(world, request, path, actor) {
        return answer;
    }
    match locate(path) {
        Some(Located::Many { kind, parent }) if request.method == Method::GET => {
            let paging = Paging::from_query(&request.query)?;
            Ok(Answer::json(&world.list(&parent, kind, &paging)?))
        }
        Some(Located::Root { .. }) if world.has_place(path) || path == ORG_ROOT => root(world, request, path),
        Some(Located::One { kind, .. }) => one(world, request, path, kind, actor),
        Some(Located::Many { .. }) => Err(not_allowed(request, path)),
        Some(Located::Root { .. }) | None => Err(NsxError::not_found(path)),
    }
}

fn one(
    world: &mut World,
    request: &Request,
    path: &str,
    kind: &str,
    actor: &Actor,
) -> Result<Answer, NsxError> {
    let (path, kind) = (path.to_owned(), kind.to_owned());
    match request.method {
        Method::GET => Ok(Answer::json(&world.read(&path)?)),
        Method::PATCH => {
            let body = request.object()?;
            let mode = patch_mode(world, request);
            let change = Change::Upsert {
                path,
                kind,
                body,
                mode,
            };
            world.commit(&[change], Terms::default(), actor)?;
            Ok(Answer::empty())
        }
        Method::PUT => {
            let body = request.object()?;
            let change = Change::Upsert {
                path: path.clone(),
                kind,
                body,
                mode: Mode::Put,
            };
            world.commit(&[change], Terms::default(), actor)?;
            Ok(Answer::json(&world.read(&path)?))
        }
        Method::DELETE => {
            if kind == "Segment" && request.flag("force") {
                world.detach_ports(&path, actor.now);
            }
            let mut changes = Vec::new();
            if kind == "Project" && request.flag("is_recursive") {
                let inside = world.store.descendants(&path).filter(|o| !o.is_system_owned());
                changes.extend(inside.map(|o| delete_of(&o.path, o.base)));
            }
            changes.push(delete_of(&path, &kind));
            world.commit(&changes, Terms::default(), actor)?;
            Ok(Answer::empty())
        }
        _ => Err(not_allowed(request, &path)),
    }
}

fn delete_of(path: &str, kind: &str) -> Change {
    Change::Delete {
        path: path.to_owned(),
        kind: kind.to_owned(),
        revision: None,
    }
}

fn patch_mode(world: &World, request: &Request) -> Mode {
    let asked = request
        .header(PARTIAL_PATCH)
        .is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if asked || world.tuning.partial_patch {
        Mode::Merge
    } else {
        Mode::Patch
    }
}

/// `PATCH` of a root. Partial patch is not for it.
fn hierarchy(
    world: &mut World,
    request: &Request,
    path: &str,
    kind: &str,
    actor: &Actor,
) -> (Result<Answer, NsxError>, u64) {
    let mut count = 0;
    let mut attempt = || {
        let body = request.object()?;
        if !world.has_place(path) && kind == "Infra" {
            return Err(NsxError::not_found(path));
        }
        let changes = world.read_tree(kind, path, &body, Mode::Patch)?;
        count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let terms = Terms {
            enforce_revision: request.flag("enforce_revision_check"),
            hierarchical: true,
        };
        world.commit(&changes, terms, actor)?;
        Ok(Answer::empty())
    };
    let result = attempt();
    (result, count)
}

/// `GET` of a root, a tree where types are asked for.
fn root(world: &World, request: &Request, path: &str) -> Result<Answer, NsxError> {
    if request.method != Method::GET {
        return Err(not_allowed(request, path));
    }
    let wanted = Wanted::from_query(&request.query);
    Ok(Answer::json(&world.tree(path, &wanted)?))
}

fn partial_patch(world: &mut World, request: &Request) -> Result<Answer, NsxError> {
    match request.method {
        Method::GET => Ok(Answer::json(
            &json!({"enable_partial_patch": world.tuning.partial_patch}),
        )),
        Method::PATCH => {
            let body = request.object()?;
            let body = world
                .schema
                .read("PartialPatchConfig", &body, crate::schema::Strictness::Whole)?;
            world.tuning.partial_patch = body.get("enable_partial_patch") == Some(&Value::Bool(true));
            Ok(Answer::empty())
        }
        _ => Err(not_allowed(request, "/system-config/nsx-partial-patch-config")),
    }
}

fn not_allowed(request: &Request, path: &str) -> NsxError {
    NsxError::new(
        405,
        FIELD,
        format!("Method {} is not allowed for {path}", request.method),
    )
    .common()
}
