//! The layout of a command (see the module above): encoding, parsing, limits.

use super::{
    Command, CommandError, Expect, Field, KeyRange, MAX_DELETE_RANGE, MAX_KEY_BYTES, MAX_VALUE_BYTES,
};
use crate::layout::Reader;

const VERSION: u8 = 1;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const APPEND: u8 = 4;
const INCREMENT: u8 = 5;
const COMPARE_AND_SWAP: u8 = 6;
const OPEN_SESSION: u8 = 7;
const CLOSE_SESSION: u8 = 8;

impl<'a> Command<'a> {
    /// Appends the layout to `out`.
    ///
    /// # Errors
    /// [`CommandError::Limit`]; nothing was appended. The caller's key, value or limit has to change.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CommandError> {
        self.check_limits()?;
        out.extend_from_slice(&[VERSION, self.kind()]);
        match *self {
            Self::Put { key, value, lease, expect } => {
                out.extend_from_slice(&lease.to_le_bytes());
                put_expect(out, expect);
                put_key(out, key);
                put_value(out, value);
            }
            Self::Delete { key, expect } => {
                put_expect(out, expect);
                put_key(out, key);
            }
            Self::DeleteRange { range, limit } => {
                out.extend_from_slice(&limit.to_le_bytes());
                put_key(out, range.start);
                put_key(out, range.end);
            }
            Self::Append { key, value } => {
                put_key(out, key);
                put_value(out, value);
            }
            Self::Increment { key, delta } => {
                out.extend_from_slice(&delta.to_le_bytes());
                put_key(out, key);
            }
            Self::CompareAndSwap { key, expected, value } => {
                out.push(u8::from(expected.is_some()));
                if let Some(expected) = expected {
                    put_value(out, expected);
                }
                put_key(out, key);
                put_value(out, value);
            }
            Self::OpenSession => {}
            Self::CloseSession { session } => out.extend_from_slice(&session.to_le_bytes()),
        }
        Ok(())
    }

    /// Reads the layout without checking limits: what apply does. `bytes` must hold nothing else.
    ///
    /// # Errors
    /// [`CommandError::Newer`] if a newer program may understand the bytes; else they are no command at all.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CommandError> {
        let mut reader = Fields(Reader::new(bytes));
        match reader.u8(Field::Version)? {
            VERSION => {}
            found => return Err(CommandError::Newer { field: Field::Version, found }),
        }
        let command = match reader.u8(Field::Kind)? {
            PUT => {
                let (lease, expect) = (reader.u64(Field::Lease)?, reader.expect()?);
                Self::Put { lease, expect, key: reader.key(Field::Key)?, value: reader.value(Field::Value)? }
            }
            DELETE => Self::Delete { expect: reader.expect()?, key: reader.key(Field::Key)? },
            DELETE_RANGE => {
                let limit = reader.u32(Field::Limit)?;
                let range = KeyRange { start: reader.key(Field::Start)?, end: reader.key(Field::End)? };
                Self::DeleteRange { range, limit }
            }
            APPEND => Self::Append { key: reader.key(Field::Key)?, value: reader.value(Field::Value)? },
            INCREMENT => Self::Increment { delta: reader.i64(Field::Delta)?, key: reader.key(Field::Key)? },
            COMPARE_AND_SWAP => {
                let (expected, key) = (reader.expected()?, reader.key(Field::Key)?);
                Self::CompareAndSwap { expected, key, value: reader.value(Field::Value)? }
            }
            OPEN_SESSION => Self::OpenSession,
            CLOSE_SESSION => Self::CloseSession { session: reader.u64(Field::Session)? },
            found => return Err(CommandError::Newer { field: Field::Kind, found }),
        };
        match reader.0.rest().len() as u64 {
            0 => Ok(command),
            found => Err(CommandError::TrailingBytes { found }),
        }
    }

    /// Reads the layout and checks the limits: what a server does before it proposes the bytes.
    ///
    /// # Errors
    /// Refuse the request with this error.
    pub fn validate(bytes: &'a [u8]) -> Result<Self, CommandError> {
        let command = Self::parse(bytes)?;
        command.check_limits()?;
        Ok(command)
    }

    fn check_limits(&self) -> Result<(), CommandError> {
        let key = |key: &[u8]| limit(Field::Key, key.len(), 1, MAX_KEY_BYTES);
        let value = |field, value: &[u8]| limit(field, value.len(), 0, MAX_VALUE_BYTES);
        match *self {
            Self::Put { key: k, value: v, .. } | Self::Append { key: k, value: v } => {
                key(k)?;
                value(Field::Value, v)
            }
            Self::Delete { key: k, .. } | Self::Increment { key: k, .. } => key(k),
            Self::DeleteRange { range, limit: most } => {
                limit(Field::Start, range.start.len(), 0, MAX_KEY_BYTES)?;
                limit(Field::End, range.end.len(), 0, MAX_KEY_BYTES)?;
                limit(Field::Limit, most as usize, 1, MAX_DELETE_RANGE as usize)
            }
            Self::CompareAndSwap { key: k, expected, value: v } => {
                key(k)?;
                value(Field::Expected, expected.unwrap_or_default())?;
                value(Field::Value, v)
            }
            Self::OpenSession | Self::CloseSession { .. } => Ok(()),
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Put { .. } => PUT,
            Self::Delete { .. } => DELETE,
            Self::DeleteRange { .. } => DELETE_RANGE,
            Self::Append { .. } => APPEND,
            Self::Increment { .. } => INCREMENT,
            Self::CompareAndSwap { .. } => COMPARE_AND_SWAP,
            Self::OpenSession => OPEN_SESSION,
            Self::CloseSession { .. } => CLOSE_SESSION,
        }
    }
}

fn limit(field: Field, found: usize, least: usize, most: usize) -> Result<(), CommandError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(CommandError::Limit { field, found: found as u64, least: least as u64, most: most as u64 })
}

fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    let length = u16::try_from(key.len()).expect("keys are within their limit");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(key);
}

fn put_value(out: &mut Vec<u8>, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("values are within their limit");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
}

fn put_expect(out: &mut Vec<u8>, expect: Expect) {
    match expect {
        Expect::Anything => out.push(0),
        Expect::Absent => out.push(1),
        Expect::ModRevision(revision) => {
            out.push(2);
            out.extend_from_slice(&revision.to_le_bytes());
        }
    }
}

/// A reader that names the field it stopped at.
struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    fn u8(&mut self, field: Field) -> Result<u8, CommandError> {
        self.0.u8().ok_or(CommandError::Truncated { field })
    }

    fn u32(&mut self, field: Field) -> Result<u32, CommandError> {
        self.0.u32().ok_or(CommandError::Truncated { field })
    }

    fn u64(&mut self, field: Field) -> Result<u64, CommandError> {
        self.0.u64().ok_or(CommandError::Truncated { field })
    }

    fn i64(&mut self, field: Field) -> Result<i64, CommandError> {
        self.0.i64().ok_or(CommandError::Truncated { field })
    }

    fn key(&mut self, field: Field) -> Result<&'a [u8], CommandError> {
        self.0.bytes_u16().ok_or(CommandError::Truncated { field })
    }

    fn value(&mut self, field: Field) -> Result<&'a [u8], CommandError> {
        self.0.bytes_u32().ok_or(CommandError::Truncated { field })
    }

    fn expect(&mut self) -> Result<Expect, CommandError> {
        match self.u8(Field::Expect)? {
            0 => Ok(Expect::Anything),
            1 => Ok(Expect::Absent),
            2 => Ok(Expect::ModRevision(self.u64(Field::Expect)?)),
            found => Err(CommandError::Newer { field: Field::Expect, found }),
        }
    }

    fn expected(&mut self) -> Result<Option<&'a [u8]>, CommandError> {
        match self.u8(Field::Expected)? {
            0 => Ok(None),
            1 => Ok(Some(self.value(Field::Expected)?)),
            found => Err(CommandError::Newer { field: Field::Expected, found }),
        }
    }
}
