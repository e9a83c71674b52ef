//! A folder as it is, to be compared with how it is later.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below `dir` with its contents, every folder with none.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the test") {
            let path = entry.expect("an entry of it").path();
            let bytes = path.is_file().then(|| fs::read(&path).expect("a file of the test"));
            if bytes.is_none() {
                folders.push(path.clone());
            }
            found.insert(path, bytes);
        }
    }
    found
}
