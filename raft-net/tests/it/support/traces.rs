use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What this test's thread traces at `info` and above.
pub(crate) struct Traces(());

impl Traces {
    /// Starts afresh.
    pub(crate) fn record() -> Self {
        // One subscriber for the process, that sorts by thread: scoped ones race where two tests start at a time.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| OwnText).init());
        TEXT.with_borrow_mut(Vec::clear);
        Self(())
    }

    /// Lines that contain all of `parts`.
    pub(crate) fn lines_with(&self, parts: &[&str]) -> Vec<String> {
        let text = TEXT.with_borrow(|text| String::from_utf8(text.clone())).unwrap();
        let found = |line: &&str| parts.iter().all(|part| line.contains(part));
        text.lines().filter(found).map(str::to_owned).collect()
    }

    #[track_caller]
    pub(crate) fn assert_once(&self, parts: &[&str]) {
        let lines = self.lines_with(parts);
        assert_eq!(lines.len(), 1, "lines with {parts:?}: {lines:#?} among {:#?}", self.lines_with(&[]));
    }
}

struct OwnText;

impl io::Write for OwnText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
