//! Tells what is new from what was said already, so that a peer that tries again every second is reported once.

use std::collections::BTreeMap;

/// Subjects remembered; a flood of callers beyond that may be reported again.
const SUBJECTS: usize = 256;

/// The last thing noted about each subject.
#[derive(Debug, Default)]
pub(crate) struct Notebook {
    notes: BTreeMap<String, String>,
}

impl Notebook {
    /// Whether `note` differs from the last one about `subject`. It is the last one from now on.
    pub(crate) fn is_news(&mut self, subject: &str, note: String) -> bool {
        if self.notes.get(subject) == Some(&note) {
            return false;
        }
        if self.notes.len() >= SUBJECTS {
            self.notes.clear();
        }
        self.notes.insert(subject.to_owned(), note);
        true
    }

    /// Forgets `subject`: its next note is news.
    pub(crate) fn forget(&mut self, subject: &str) {
        self.notes.remove(subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_note_is_news_once_until_it_changes_or_is_forgotten() {
        let mut notebook = Notebook::default();
        assert!(notebook.is_news("n1", "refused".into()));
        assert!(!notebook.is_news("n1", "refused".into()));
        assert!(notebook.is_news("n2", "refused".into()));
        assert!(notebook.is_news("n1", "unreachable".into()));
        assert!(notebook.is_news("n1", "refused".into()));
        notebook.forget("n1");
        assert!(notebook.is_news("n1", "refused".into()));
    }

    #[test]
    fn the_notebook_stays_small_however_many_subjects_come() {
        let mut notebook = Notebook::default();
        for subject in 0..10 * SUBJECTS {
            notebook.is_news(&subject.to_string(), "garbage".into());
        }
        assert!(notebook.notes.len() <= SUBJECTS);
    }
}
