//! Error responses in the words and shapes of vLLM.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// A request that is answered with an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// The method that would have been right, for 405.
    pub(crate) allow: Option<Method>,
}

impl Failure {
    /// `{"error": {...}}` with the four fields that vLLM gives.
    pub(crate) fn new(status: StatusCode, kind: &str, param: Value, message: &str) -> Self {
        let body = json!({
            "error": {"message": message, "type": kind, "param": param, "code": status.as_u16()}
        });
        Self { status, body: Bytes::from(body.to_string()), allow: None }
    }

    /// A value that the server understands and refuses.
    pub(crate) fn parameter(name: &str, value: impl std::fmt::Display, problem: &str) -> Self {
        let message = format!("{problem} (parameter={name}, value={value})");
        Self::new(StatusCode::BAD_REQUEST, "BadRequestError", json!(name), &message)
    }

    /// A body that does not have the expected shape.
    pub(crate) fn validation(location: &str, kind: &str, problem: &str) -> Self {
        let message = format!(
            "1 validation error:\n  {{'type': '{kind}', 'loc': '{location}', 'msg': '{problem}'}}"
        );
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", json!(location), &message)
    }

    /// A route that does not exist.
    pub(crate) fn no_route() -> Self {
        let body = Bytes::from_static(br#"{"detail":"Not Found"}"#);
        Self { status: StatusCode::NOT_FOUND, body, allow: None }
    }

    /// A route that takes another method.
    pub(crate) fn wrong_method(allow: Method) -> Self {
        let body = Bytes::from_static(br#"{"detail":"Method Not Allowed"}"#);
        Self { status: StatusCode::METHOD_NOT_ALLOWED, body, allow: Some(allow) }
    }

    /// Too many requests are queued.
    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Service Unavailable",
            Value::Null,
            "The engine is currently busy and cannot accept new requests. Please try again later \
             or on a different instance.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_vllms_shape() {
        let failure = Failure::parameter("max_tokens", 0, "max_tokens must be at least 1, got 0.");
        let body: Value = serde_json::from_slice(&failure.body).unwrap();
        assert_eq!(
            body,
            json!({"error": {
                "message": "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)",
                "type": "BadRequestError", "param": "max_tokens", "code": 400
            }})
        );
        assert_eq!(failure.status, StatusCode::BAD_REQUEST);
    }
}
