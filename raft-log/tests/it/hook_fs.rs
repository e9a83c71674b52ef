//! A file system that asks a hook before each call: to refuse, to block, to panic.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use raft_core::fs::{File, Fs};

/// What is about to be asked of the file system underneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Anything that changes names, or opens for writing.
    Change,
    Read,
    Write,
    Sync,
}

type Hook = Arc<dyn Fn(Call) -> io::Result<()> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct HookFs<F> {
    inner: F,
    hook: Hook,
}

impl<F> HookFs<F> {
    pub(crate) fn new(inner: F, hook: impl Fn(Call) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { inner, hook: Arc::new(hook) }
    }
}

pub(crate) struct HookFile<T> {
    inner: T,
    hook: Hook,
}

impl<F: Fs> Fs for HookFs<F> {
    type File = HookFile<F::File>;
    type Lock = F::Lock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        (self.hook)(Call::Change)?;
        self.inner.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.read_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Self::File> {
        (self.hook)(Call::Change)?;
        Ok(HookFile { inner: self.inner.create_new(path)?, hook: self.hook.clone() })
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Self::File> {
        if writable {
            (self.hook)(Call::Change)?;
        }
        Ok(HookFile { inner: self.inner.open(path, writable)?, hook: self.hook.clone() })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)(Call::Change)?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.hook)(Call::Change)?;
        self.inner.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        (self.hook)(Call::Sync)?;
        self.inner.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Self::Lock> {
        (self.hook)(Call::Change)?;
        self.inner.lock(path)
    }
}

impl<T: File> File for HookFile<T> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (self.hook)(Call::Read)?;
        self.inner.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (self.hook)(Call::Write)?;
        self.inner.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        (self.hook)(Call::Write)?;
        self.inner.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.hook)(Call::Sync)?;
        self.inner.sync_data()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.inner.drop_cache()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
