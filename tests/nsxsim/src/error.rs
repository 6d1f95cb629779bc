//! Refusals in NSX's own shape.
//!
//! `{"httpStatus","error_code","module_name","error_message","related_errors"}`: `httpStatus` is the enum's
//! name; the rate limiter's layer leaves it out and writes its code as a string.

use serde_json::{Map, Value, json};

/// A refusal: the HTTP status and the body that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct NsxError {
    /// HTTP status.
    pub status: u16,
    /// `error_code`, a number everywhere but in the rate limiter's layer.
    pub code: Value,
    module: &'static str,
    message: String,
    related: Vec<NsxError>,
    named_status: bool,
}

/// The object or one it names does not exist: a path that leads nowhere.
pub const INVALID_PATH: i64 = 500_012;
/// Delete of an object with children or referrers.
pub const IN_USE: i64 = 500_030;
/// Create while the earlier object of that path is still being un-realized.
pub const MARKED_FOR_DELETE: i64 = 500_045;
/// Addresses overlap.
pub const OVERLAP: i64 = 500_105;
/// Create of what exists (a PUT without `_revision`).
pub const EXISTS: i64 = 500_127;
/// The hierarchical call's wrapper.
pub const HIERARCHY: i64 = 500_157;
/// A segment that hangs on a gateway or an interface already.
pub const SEGMENT_ATTACHED: i64 = 503_101;
/// A segment with ports cannot be deleted.
pub const PORTS_ATTACHED: i64 = 503_040;
/// A field is out of bounds, missing or of the wrong kind.
pub const FIELD: i64 = 255;
/// The body is not what the type's JSON looks like.
pub const JSON: i64 = 220;
/// Not found (module common-services).
pub const NOT_FOUND: i64 = 600;
/// A rule of one type is broken. The real manager has a number for each; the number itself is not verified,
/// the status and the sentence are what a client can act on.
pub const RULE: i64 = 500_130;
/// A write to something the system owns (number not verified).
pub const SYSTEM_OWNED: i64 = 500_031;

impl NsxError {
    /// Any refusal by the Policy module.
    pub fn new(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            code: Value::from(code),
            module: "Policy",
            message: message.into(),
            related: Vec::new(),
            named_status: true,
        }
    }

    /// 400 with this code.
    pub fn bad(code: i64, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 400 because a type's own rule is broken.
    pub fn rule(message: impl Into<String>) -> Self {
        Self::bad(RULE, message)
    }

    /// 400 because fields are out of bounds; all of them are told.
    pub fn fields(problems: &[String]) -> Self {
        Self::bad(
            FIELD,
            format!("Field level validation errors: {{{}}}", problems.join(", ")),
        )
        .common()
    }

    /// 400 because a referenced path is unknown or of the wrong type.
    pub fn invalid_path(path: &str) -> Self {
        Self::bad(INVALID_PATH, format!("The path=[{path}] is invalid"))
    }

    /// 404.
    pub fn not_found(path: &str) -> Self {
        let message = format!(
            "The requested object : {path} could not be found. Object identifiers are case sensitive."
        );
        Self::new(404, NOT_FOUND, message).common()
    }

    /// 403 with the given code.
    pub fn forbidden(code: i64, message: &str) -> Self {
        Self::new(403, code, message).common()
    }

    /// 429 as captured from a real manager: no `httpStatus`, the code a string.
    pub fn rate(user: &str, limit: u32) -> Self {
        Self {
            status: 429,
            code: Value::from("102"),
            module: "common-services",
            message: format!("Client '{user}' exceeded request rate of {limit} per second"),
            related: Vec::new(),
            named_status: false,
        }
    }

    /// 503: too many requests of one client (or of all) at the same time.
    pub fn concurrency(user: &str, limit: u32) -> Self {
        Self {
            status: 503,
            code: Value::from("102"),
            module: "common-services",
            message: format!("Client '{user}' exceeded request concurrency of {limit}"),
            related: Vec::new(),
            named_status: false,
        }
    }

    /// The same refusal, told by common-services.
    #[must_use]
    pub fn common(mut self) -> Self {
        self.module = "common-services";
        self
    }

    /// The hierarchical call's wrapper around the true cause.
    pub fn hierarchy(kind: &str, cause: Self) -> Self {
        let mut wrapper = Self::bad(HIERARCHY, format!("Error while creating objects of type:{kind}"));
        wrapper.related.push(cause);
        wrapper
    }

    /// The sentence.
    #[cfg(test)]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body as it goes over the wire.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        if self.named_status {
            body.insert("httpStatus".into(), json!(status_name(self.status)));
        }
        body.insert("error_code".into(), self.code.clone());
        body.insert("module_name".into(), json!(self.module));
        body.insert("error_message".into(), json!(self.message));
        if !self.related.is_empty() {
            let related: Vec<Value> = self.related.iter().map(Self::body).collect();
            body.insert("related_errors".into(), Value::Array(related));
        }
        Value::Object(body)
    }
}

/// The enum name that `httpStatus` carries.
fn status_name(status: u16) -> &'static str {
    match status {
        400 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        409 => "CONFLICT",
        412 => "PRECONDITION_FAILED",
        503 => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_SERVER_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_refusal_names_its_status_and_has_a_numeric_code() {
        let body = NsxError::invalid_path("/infra/tier-0s/None").body();
        assert_eq!(
            body,
            json!({"httpStatus": "BAD_REQUEST", "error_code": 500_012, "module_name": "Policy",
                   "error_message": "The path=[/infra/tier-0s/None] is invalid"})
        );
    }

    #[test]
    fn the_rate_limiter_writes_its_code_as_a_string_and_no_status() {
        let body = NsxError::rate("admin", 100).body();
        assert_eq!(
            body,
            json!({"module_name": "common-services", "error_code": "102",
                   "error_message": "Client 'admin' exceeded request rate of 100 per second"})
        );
    }

    #[test]
    fn a_hierarchy_wraps_the_true_cause() {
        let body = NsxError::hierarchy("Segment", NsxError::invalid_path("/x")).body();
        assert_eq!(body["error_code"], 500_157);
        assert_eq!(
            body["error_message"],
            "Error while creating objects of type:Segment"
        );
        assert_eq!(body["related_errors"][0]["error_code"], 500_012);
    }
}
