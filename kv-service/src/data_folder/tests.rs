use raft_core::testing::SimFs;

use super::*;

#[test]
fn a_fresh_folder_gets_an_id_and_keeps_it() {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("a/b");
    let (sinks, _events) = raft_core::node::channels();
    let open = || DataFolder::lock(&path).unwrap().open(&LogOptions::default(), &sinks).unwrap();
    let first = open();
    assert!(first.is_fresh && first.cluster_id().is_none());
    let id = first.node_id;
    drop(first);
    let again = open();
    assert_eq!((again.is_fresh, again.node_id), (false, id));
}

#[test]
fn a_folder_has_one_user_at_a_time() {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("n1");
    let _held = DataFolder::lock(&path).unwrap();
    let error = DataFolder::lock(&path).unwrap_err();
    assert!(matches!(error, FolderError::InUse { .. }), "{error}");
}

#[test]
fn a_folder_below_a_file_cannot_be_made_and_the_file_stays() {
    let above = tempfile::tempdir().unwrap();
    let file = above.path().join("file");
    std::fs::write(&file, "here").unwrap();
    let error = DataFolder::lock(&file.join("n1")).unwrap_err().to_string();
    assert!(error.contains("--dir") && error.contains("file"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"here");
}

#[test]
fn the_names_of_a_folder_that_was_there_already_are_made_durable_too() {
    let fs = SimFs::new(7);
    // Somebody made it, and was killed before it was durable.
    fs.create_dir_all(Path::new("/a/b/data")).unwrap();
    for path in ["/a/b/data", "/a/b/data/"] {
        make_folder(&fs, Path::new(path)).unwrap();
        for loss in fs.power_losses() {
            let after = fs.power_loss(loss);
            assert!(after.read_dir(Path::new("/a/b/data")).is_ok(), "{loss:?}");
        }
    }
}
