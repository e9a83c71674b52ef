//! Pairs as JSON lines: `{"key":…,"value":…}`, with `key_b64` or `value_b64` in place of what is no UTF-8.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

/// A pair on its way out.
#[derive(Debug, Serialize)]
pub(crate) struct Pair<'a> {
    #[serde(flatten)]
    key: Key<'a>,
    #[serde(flatten)]
    value: Option<Value<'a>>,
}

#[derive(Debug, Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(&'a str),
    #[serde(rename = "key_b64")]
    Binary(String),
}

#[derive(Debug, Serialize)]
enum Value<'a> {
    #[serde(rename = "value")]
    Text(&'a str),
    #[serde(rename = "value_b64")]
    Binary(String),
}

impl<'a> Pair<'a> {
    /// `value`: `None` where only keys were asked for.
    pub(crate) fn new(key: &'a [u8], value: Option<&'a [u8]>) -> Self {
        let key = match std::str::from_utf8(key) {
            Ok(text) => Key::Text(text),
            Err(_binary) => Key::Binary(BASE64_STANDARD.encode(key)),
        };
        let value = value.map(|value| match std::str::from_utf8(value) {
            Ok(text) => Value::Text(text),
            Err(_binary) => Value::Binary(BASE64_STANDARD.encode(value)),
        });
        Self { key, value }
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("not a pair: {0}")]
    Json(#[from] serde_json::Error),
    #[error("has neither {0} nor {0}_b64")]
    Missing(&'static str),
    #[error("has both {0} and {0}_b64")]
    Twice(&'static str),
    #[error("{field}_b64 is not base64: {source}")]
    Base64 { field: &'static str, source: base64::DecodeError },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    key_b64: Option<String>,
    value: Option<String>,
    value_b64: Option<String>,
}

/// Reads a line; gives key and value.
pub(crate) fn parse(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), LineError> {
    let line: Line = serde_json::from_slice(line)?;
    let key = bytes("key", line.key, line.key_b64)?;
    let value = bytes("value", line.value, line.value_b64)?;
    Ok((key, value))
}

fn bytes(field: &'static str, text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, LineError> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => {
            BASE64_STANDARD.decode(base64).map_err(|source| LineError::Base64 { field, source })
        }
        (None, None) => Err(LineError::Missing(field)),
        (Some(_), Some(_)) => Err(LineError::Twice(field)),
    }
}
