//! The store as its callers see it, whoever serves it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::command::{Command, Expect, Outcome};
use crate::error::{Cause, Error, Rejection};
use crate::protocol::{Consistency, KeyMeta, RangeQuery};

/// What the store answered, and at which point of its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<T> {
    /// The answer.
    pub value: T,
    /// The store's revision: right after a write, or at a read.
    pub revision: u64,
    /// Term of the entry that was applied, or the answering node's own.
    pub term: u64,
    /// Index of the entry that was applied, or the last one the answering node had applied.
    pub index: u64,
}

impl<T> Response<T> {
    /// Another view of the same answer.
    pub(crate) fn try_map<U, E>(self, view: impl FnOnce(T) -> Result<U, E>) -> Result<Response<U>, E> {
        let Self { value, revision, term, index } = self;
        Ok(Response { value: view(value)?, revision, term, index })
    }
}

/// How a read is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// How recent the answer has to be.
    pub consistency: Consistency,
    /// The answering node must have applied at least this revision; 0 for any. With the revision of an earlier
    /// response a caller never sees the store go back.
    pub min_revision: u64,
}

/// A value with the numbers of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub bytes: Bytes,
    /// The key's numbers.
    pub meta: KeyMeta,
}

/// A key in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Bytes,
    /// Its value; empty where only keys were asked for.
    pub value: Bytes,
    /// Its numbers.
    pub meta: KeyMeta,
}

/// A part of a range. Its records share memory: keeping one keeps the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys, ascending by bytes.
    pub records: Vec<Record>,
    /// Whether the range goes on after the last of them; never without one.
    pub more: bool,
}

/// The store.
///
/// Three methods are the seam, for whoever serves it; the others are what their names say, in terms of
/// [`write`](Self::write).
///
/// # Contract
/// * A write that returns `Ok` is applied, exactly once, and visible to every linearizable read made after that.
/// * [`Error::NotApplied`] and [`Error::Rejected`]: it changed nothing, and never will.
/// * [`Error::Unknown`]: it is applied at most once.
/// * Every call ends: by itself, or when its deadline passes. Dropping its future gives the call up; a write is
///   then applied at most once.
#[async_trait]
pub trait KvStore: Send + Sync {
    /// Applies a command.
    ///
    /// # Errors
    /// See the contract. A command that could not do what it asks for ([`Outcome::ConditionFailed`], say) has an
    /// outcome all the same, and is no error here; the methods below make it [`Error::Rejected`].
    async fn write(&self, command: Command<'_>) -> Result<Response<Outcome>, Error>;

    /// Looks up a key.
    ///
    /// # Errors
    /// [`Error::NotApplied`]: no node served it in time, or the key cannot be one.
    async fn get(&self, key: &[u8], options: ReadOptions) -> Result<Response<Option<Versioned>>, Error>;

    /// Looks up a page of a range; [`Scan`](crate::Scan) walks them all.
    ///
    /// # Errors
    /// [`Error::NotApplied`]: no node served it in time, or a key in the query cannot be one.
    async fn range(&self, query: RangeQuery, options: ReadOptions) -> Result<Response<Page>, Error>;

    /// Sets a key.
    ///
    /// # Errors
    /// See the contract.
    async fn put(&self, key: &[u8], value: &[u8]) -> Result<Response<()>, Error> {
        self.put_if(key, value, Expect::Anything).await
    }

    /// Sets a key if it is as expected.
    ///
    /// # Errors
    /// [`Rejection::ConditionFailed`] with what the key is instead; else see the contract.
    async fn put_if(&self, key: &[u8], value: &[u8], expect: Expect) -> Result<Response<()>, Error> {
        let response = self.write(Command::Put { key, value, lease: 0, expect }).await?;
        response.try_map(|outcome| match outcome {
            Outcome::Done => Ok(()),
            other => Err(no(other)),
        })
    }

    /// Deletes a key; tells whether it was there.
    ///
    /// # Errors
    /// See the contract.
    async fn delete(&self, key: &[u8]) -> Result<Response<bool>, Error> {
        self.delete_if(key, Expect::Anything).await
    }

    /// Deletes a key if it is as expected; tells whether it was there.
    ///
    /// # Errors
    /// [`Rejection::ConditionFailed`] with what the key is instead; else see the contract.
    async fn delete_if(&self, key: &[u8], expect: Expect) -> Result<Response<bool>, Error> {
        let response = self.write(Command::Delete { key, expect }).await?;
        response.try_map(|outcome| match outcome {
            Outcome::Deleted { count, .. } => Ok(count > 0),
            other => Err(no(other)),
        })
    }

    /// Adds bytes to the end of a value, an absent key being empty; tells its length now, in bytes.
    ///
    /// # Errors
    /// [`Rejection::ValueTooLong`]; else see the contract.
    async fn append(&self, key: &[u8], value: &[u8]) -> Result<Response<u64>, Error> {
        let response = self.write(Command::Append { key, value }).await?;
        response.try_map(|outcome| match outcome {
            Outcome::Appended { length } => Ok(length),
            other => Err(no(other)),
        })
    }

    /// Adds to a value that is the decimal text of an `i64`, an absent key being 0; tells the sum.
    ///
    /// # Errors
    /// [`Rejection::NotANumber`], [`Rejection::Overflow`]; else see the contract.
    async fn increment(&self, key: &[u8], delta: i64) -> Result<Response<i64>, Error> {
        let response = self.write(Command::Increment { key, delta }).await?;
        response.try_map(|outcome| match outcome {
            Outcome::Incremented { value } => Ok(value),
            other => Err(no(other)),
        })
    }

    /// Sets a key if it has the expected value; `None`: if it is absent.
    ///
    /// # Errors
    /// [`Rejection::ConditionFailed`] with what the key is instead; else see the contract.
    async fn compare_and_swap(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Response<()>, Error> {
        let response = self.write(Command::CompareAndSwap { key, expected, value }).await?;
        response.try_map(|outcome| match outcome {
            Outcome::Done => Ok(()),
            other => Err(no(other)),
        })
    }
}

/// The error for an outcome that is not the one hoped for.
fn no(outcome: Outcome) -> Error {
    Error::Rejected(match outcome {
        Outcome::ConditionFailed { mod_revision } => Rejection::ConditionFailed { mod_revision },
        Outcome::NotANumber => Rejection::NotANumber,
        Outcome::Overflow => Rejection::Overflow,
        Outcome::ValueTooLong { length, most } => Rejection::ValueTooLong { length, most },
        Outcome::LeaseUnknown { lease } => Rejection::LeaseUnknown { lease },
        found => return Error::Unknown(Cause::UnexpectedOutcome { found }),
    })
}
