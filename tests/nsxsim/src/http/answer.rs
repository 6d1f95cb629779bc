//! An answer before it goes over the wire.

use serde_json::Value;

use crate::error::NsxError;

/// Status, body and headers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body; empty for none.
    pub body: Vec<u8>,
    /// `Content-Type`, where there is a body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// 200 without a body.
    pub fn empty() -> Self {
        Self::status(200)
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            body: Vec::new(),
            content_type: "application/json",
            headers: Vec::new(),
        }
    }

    /// 200 with JSON.
    pub fn json(body: &Value) -> Self {
        Self {
            body: body.to_string().into_bytes(),
            ..Self::status(200)
        }
    }
}

impl From<NsxError> for Answer {
    fn from(error: NsxError) -> Self {
        Self {
            body: error.body().to_string().into_bytes(),
            ..Self::status(error.status)
        }
    }
}

impl From<Result<Self, NsxError>> for Answer {
    fn from(result: Result<Self, NsxError>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}
