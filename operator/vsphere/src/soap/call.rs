//! One call of a method.

use std::fmt;

use crate::error::Error;
use crate::moref::Moref;
use crate::xml::Writer;

/// The namespace of the API, and that of what only vCenter's own clients are told of.
const VIM: &str = "urn:vim25";
const INTERNAL: &str = "urn:internalvim25";

/// Whether a call changes anything: decides what a broken connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it can simply be asked again.
    Read,
    /// Something: after a broken connection the outcome is unknown.
    Write,
}

/// A method, the object it is called on, and the request's XML.
pub(crate) struct Call {
    pub method: &'static str,
    pub target: Moref,
    pub effect: Effect,
    namespace: &'static str,
    body: Option<String>,
}

impl fmt::Debug for Call {
    /// Without the body, which may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.method, self.logged())
    }
}

impl Call {
    /// A call that changes nothing.
    pub fn read(method: &'static str, target: &Moref, arguments: impl FnOnce(&mut Writer)) -> Self {
        Self::new(method, target, Effect::Read, arguments)
    }

    /// A call that changes something.
    pub fn write(method: &'static str, target: &Moref, arguments: impl FnOnce(&mut Writer)) -> Self {
        Self::new(method, target, Effect::Write, arguments)
    }

    /// A call in vCenter's internal namespace that changes something, and may be made twice.
    pub fn internal(method: &'static str, target: &Moref, arguments: impl FnOnce(&mut Writer)) -> Self {
        Self {
            namespace: INTERNAL,
            ..Self::new(method, target, Effect::Read, arguments)
        }
    }

    fn new(
        method: &'static str,
        target: &Moref,
        effect: Effect,
        arguments: impl FnOnce(&mut Writer),
    ) -> Self {
        let mut writer = Writer::default();
        writer.moref("_this", target);
        arguments(&mut writer);
        Self {
            method,
            target: target.clone(),
            effect,
            namespace: VIM,
            body: writer.finish(),
        }
    }

    /// The whole request.
    pub fn envelope(&self) -> Result<String, Error> {
        let body = self.body.as_ref().ok_or(Error::Unsendable)?;
        let method = self.method;
        Ok(format!(
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?>"#,
                r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/""#,
                r#" xmlns:xsd="http://www.w3.org/2001/XMLSchema""#,
                r#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>"#,
                r#"<{method} xmlns="{namespace}">{body}</{method}>"#,
                "</soapenv:Body></soapenv:Envelope>"
            ),
            method = method,
            namespace = self.namespace,
            body = body
        ))
    }

    /// The object for logs. What is bound to a session carries the session's key in its reference.
    pub fn logged(&self) -> String {
        if self.target.value.starts_with("session[") {
            return format!("{}:session[..]", self.target.kind);
        }
        self.target.to_string()
    }

    /// The arguments as written, for tests of their order.
    #[cfg(test)]
    pub fn body(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }
}
