use std::path::Path;

use super::*;

fn disk() -> SimFs {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/d")).unwrap();
    fs.settle();
    fs
}

/// A durable file of `bytes`, opened for writing.
fn durable_file(fs: &SimFs, path: &str, bytes: &[u8]) -> SimFile {
    let file = fs.create_new(Path::new(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    fs.settle();
    file
}

fn read(fs: &SimFs, path: &str) -> Option<Vec<u8>> {
    fs.contents(path).ok()
}

#[test]
fn synced_bytes_under_a_synced_name_survive_every_power_cut() {
    let fs = disk();
    let file = fs.create_new(Path::new("/d/a")).unwrap();
    file.write_all_at(&[7; 2000], 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(fs.unsynced(), []);
    file.write_all_at(&[8; 2000], 2048).unwrap();
    for choice in fs.power_losses() {
        let after = fs.power_loss(choice);
        assert_eq!(&after.contents("/d/a").unwrap()[..2000], [7; 2000], "{choice:?}");
    }
}

#[test]
fn each_unsynced_sector_survives_on_its_own() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", &[0; 2048]);
    file.write_all_at(&[1; 1024], 512).unwrap();
    let mut seen: Vec<_> = fs
        .power_losses()
        .into_iter()
        .filter(|choice| matches!(choice, PowerLoss::Subset(_)))
        .map(|choice| read(&fs.power_loss(choice), "/d/a").unwrap())
        .map(|bytes| [bytes[0], bytes[512], bytes[1024], bytes[1536]])
        .collect();
    seen.sort();
    assert_eq!(seen, [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 1, 0]]);
}

#[test]
fn a_torn_sector_keeps_its_first_new_bytes() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", &[0; 512]);
    file.write_all_at(&[1; 512], 0).unwrap();
    let images = (0..100).map(|seed| read(&fs.power_loss(PowerLoss::Torn(seed)), "/d/a").unwrap());
    let cuts: Vec<_> = images
        .map(|image| {
            let new = image.iter().take_while(|&&byte| byte == 1).count();
            assert!(image[new..].iter().all(|&byte| byte == 0));
            new
        })
        .collect();
    assert!(cuts.contains(&0) && cuts.contains(&512));
    assert!(cuts.iter().any(|cut| (1..512).contains(cut)));
}

#[test]
fn length_and_bytes_survive_apart() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", &[1; 512]);
    file.write_all_at(&[2; 512], 512).unwrap();
    let effects: Vec<_> = fs.unsynced().iter().map(ToString::to_string).collect();
    assert_eq!(effects, ["length of /d/a", "sector 1 of /d/a"]);
    let after = |choice| read(&fs.power_loss(choice), "/d/a").unwrap();
    assert_eq!(after(PowerLoss::Only(0)), [[1; 512], [0; 512]].concat());
    assert_eq!(after(PowerLoss::Only(1)), [1; 512]);
    assert_eq!(after(PowerLoss::EverythingUnsynced), [[1; 512], [2; 512]].concat());
}

#[test]
fn bytes_cut_off_and_grown_over_by_zeros_are_old_or_zero() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", &[1; 1024]);
    file.set_len(100).unwrap();
    file.set_len(1024).unwrap();
    let mut zeroed = vec![1; 100];
    zeroed.resize(1024, 0);
    assert_eq!(read(&fs, "/d/a").unwrap(), zeroed);
    assert_eq!(read(&fs.power_loss(PowerLoss::NothingUnsynced), "/d/a").unwrap(), [1; 1024]);
    assert_eq!(read(&fs.power_loss(PowerLoss::EverythingUnsynced), "/d/a").unwrap(), zeroed);
    file.sync_data().unwrap();
    assert_eq!(read(&fs.power_loss(PowerLoss::NothingUnsynced), "/d/a").unwrap(), zeroed);
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let fs = disk();
    let file = fs.create_new(Path::new("/d/a")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&fs.power_loss(PowerLoss::NothingUnsynced), "/d/a"), None);
    assert_eq!(read(&fs.power_loss(PowerLoss::EverythingUnsynced), "/d/a").unwrap(), b"x");
}

#[test]
fn a_folder_is_gone_with_all_in_it_until_its_own_parent_is_synced() {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/a/b")).unwrap();
    let file = fs.create_new(Path::new("/a/b/c")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    let survives = || fs.power_loss(PowerLoss::NothingUnsynced).contents("/a/b/c").is_ok();
    for folder in ["/a/b", "/a", "/"] {
        assert!(!survives(), "{folder}");
        fs.sync_dir(Path::new(folder)).unwrap();
    }
    assert!(survives());
}

#[test]
fn a_rename_is_old_or_new_and_never_both_or_neither() {
    let fs = disk();
    durable_file(&fs, "/d/a", b"old");
    durable_file(&fs, "/d/b", b"new");
    fs.rename(Path::new("/d/b"), Path::new("/d/a")).unwrap();
    let after = |choice| {
        let after = fs.power_loss(choice);
        (read(&after, "/d/a"), read(&after, "/d/b"))
    };
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    assert_eq!(after(PowerLoss::NothingUnsynced), (old, new.clone()));
    assert_eq!(after(PowerLoss::EverythingUnsynced), (new.clone(), None));
    fs.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(after(PowerLoss::NothingUnsynced), (new, None));
}

#[test]
fn a_move_between_folders_is_durable_once_both_are_synced() {
    let fs = disk();
    fs.create_dir_all(Path::new("/e")).unwrap();
    durable_file(&fs, "/d/a", b"x");
    fs.rename(Path::new("/d/a"), Path::new("/e/a")).unwrap();
    let moved = || fs.power_loss(PowerLoss::NothingUnsynced).contents("/e/a").is_ok();
    fs.sync_dir(Path::new("/e")).unwrap();
    assert!(!moved());
    fs.sync_dir(Path::new("/d")).unwrap();
    assert!(moved());
}

#[test]
fn a_removed_file_may_come_back_until_its_folder_is_synced() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", b"x");
    fs.remove_file(Path::new("/d/a")).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(&byte, b"x", "an open file outlives its name");
    assert!(fs.power_loss(PowerLoss::NothingUnsynced).contents("/d/a").is_ok());
    fs.sync_dir(Path::new("/d")).unwrap();
    assert!(fs.power_loss(PowerLoss::NothingUnsynced).contents("/d/a").is_err());
}

#[test]
fn from_the_crash_on_every_call_fails_and_does_nothing() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", b"old");
    let before = fs.operations();
    fs.crash_at(before + 1);
    file.write_all_at(b"new", 0).unwrap();
    let error = file.sync_data().unwrap_err();
    assert_eq!(Crashed::find(&error), Some(Crashed { operation: before + 1 }));
    assert_eq!(fs.crashed(), Crashed::find(&error));
    assert!(Crashed::find(&file.write_all_at(b"xxx", 0).unwrap_err()).is_some());
    assert!(Crashed::find(&file.len().unwrap_err()).is_some());
    assert!(Crashed::find(&fs.read_dir(Path::new("/d")).unwrap_err()).is_some());
    assert_eq!(read(&fs.power_loss(PowerLoss::NothingUnsynced), "/d/a").unwrap(), b"old");
    assert_eq!(read(&fs.kill(), "/d/a").unwrap(), b"new");
}

#[test]
fn a_crash_during_a_write_leaves_its_first_bytes() {
    let lengths = (0..50).map(|seed| {
        let fs = SimFs::new(seed);
        let file = fs.create_new(Path::new("/a")).unwrap();
        fs.crash_during(1);
        file.write_all_at(&[1; 10], 0).unwrap_err();
        let left = fs.kill().contents("/a").unwrap();
        assert!(left.iter().all(|&byte| byte == 1));
        left.len()
    });
    let lengths: std::collections::BTreeSet<_> = lengths.collect();
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn what_was_unsynced_before_a_kill_is_unsynced_after_it() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", b"old");
    file.write_all_at(b"new", 0).unwrap();
    let killed = fs.kill();
    assert_eq!(read(&killed, "/d/a").unwrap(), b"new");
    assert_eq!(read(&killed.power_loss(PowerLoss::NothingUnsynced), "/d/a").unwrap(), b"old");
    killed.open(Path::new("/d/a"), true).unwrap().sync_data().unwrap();
    assert_eq!(read(&killed.power_loss(PowerLoss::NothingUnsynced), "/d/a").unwrap(), b"new");
}

#[test]
fn after_a_failed_sync_the_next_one_succeeds_and_makes_nothing_durable() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", b"old");
    file.write_all_at(b"new", 0).unwrap();
    fs.fail_sync_at(0);
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(read(&fs, "/d/a").unwrap(), b"new", "the cache still has it");
    assert_eq!(read(&fs.power_loss(PowerLoss::EverythingUnsynced), "/d/a").unwrap(), b"old");
    file.drop_cache().unwrap();
    assert_eq!(read(&fs, "/d/a").unwrap(), b"old", "and the medium never had");
}

#[test]
fn after_a_failed_folder_sync_the_name_is_never_durable() {
    let fs = disk();
    fs.create_new(Path::new("/d/a")).unwrap();
    fs.fail_sync_at(0);
    fs.sync_dir(Path::new("/d")).unwrap_err();
    fs.sync_dir(Path::new("/d")).unwrap();
    assert!(fs.contents("/d/a").is_ok());
    assert!(fs.power_loss(PowerLoss::EverythingUnsynced).contents("/d/a").is_err());
}

#[test]
fn a_failed_write_leaves_some_of_its_first_bytes_and_the_next_one_works() {
    let fs = disk();
    let file = durable_file(&fs, "/d/a", b"");
    fs.fail_write_at(1);
    file.write_all_at(&[1; 100], 0).unwrap_err();
    assert!(file.len().unwrap() <= 100);
    file.write_all_at(&[1; 100], 0).unwrap();
    assert_eq!(file.len().unwrap(), 100);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let fs = disk();
    durable_file(&fs, "/d/a", &[1; 60]);
    fs.set_capacity(Some(100));
    let file = fs.create_new(Path::new("/d/b")).unwrap();
    assert_eq!(file.write_all_at(&[1; 50], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 40);
    assert_eq!(file.set_len(41).unwrap_err().kind(), ErrorKind::StorageFull);
    fs.remove_file(Path::new("/d/a")).unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(&[1; 50], 0).unwrap();
}

/// Generic as the code under test is: what counts is the line here, not one in `SimFs`.
fn generic_program<F: Fs>(fs: &F) -> io::Result<()> {
    let file = fs.create_new(Path::new("/d/a"))?;
    file.write_all_at(b"x", 0)?;
    file.sync_data()?;
    fs.sync_dir(Path::new("/d"))
}

#[test]
fn a_sync_is_known_by_the_line_that_calls_it_through_the_traits() {
    let fs = disk();
    generic_program(&fs).unwrap();
    let sites = fs.sync_sites();
    let lines: Vec<_> = sites.iter().map(|site| site.line()).collect();
    assert_eq!(sites.len(), 2, "{sites:?}");
    assert!(sites.iter().all(|site| site.file() == file!()), "{sites:?}");
    assert_eq!(lines[0] + 1, lines[1]);
}

#[test]
fn each_suppressed_sync_loses_what_it_was_for() {
    let probe = disk();
    generic_program(&probe).unwrap();
    assert!(probe.power_loss(PowerLoss::NothingUnsynced).contents("/d/a").is_ok_and(|bytes| bytes == b"x"));
    for site in probe.sync_sites() {
        let fs = disk();
        fs.suppress_sync(site);
        generic_program(&fs).unwrap();
        let after = fs.power_loss(PowerLoss::NothingUnsynced);
        assert!(
            after.contents("/d/a").is_ok_and(|bytes| bytes.is_empty()) || after.contents("/d/a").is_err()
        );
        let again = fs.power_loss(PowerLoss::NothingUnsynced);
        again.suppress_sync(site);
        assert_eq!(again.sync_sites(), fs.sync_sites(), "sites belong to the code");
    }
}

#[test]
fn a_lock_is_exclusive_until_dropped_and_free_after_a_crash() {
    let fs = disk();
    let path = Path::new("/d/lock");
    let held = fs.lock(path).unwrap();
    assert_eq!(fs.lock(path).unwrap_err().kind(), ErrorKind::WouldBlock);
    fs.kill().lock(path).unwrap();
    drop(held);
    fs.lock(path).unwrap();
}

#[test]
fn a_flipped_bit_is_on_the_medium_too_and_shows_in_the_image() {
    let fs = disk();
    durable_file(&fs, "/d/a", &[0; 4]);
    let before = fs.image("/d").unwrap();
    fs.flip_bit("/d/a", 9).unwrap();
    assert_eq!(read(&fs.power_loss(PowerLoss::NothingUnsynced), "/d/a").unwrap(), [0, 2, 0, 0]);
    assert_ne!(fs.image("/d").unwrap(), before);
    fs.flip_bit("/d/a", 9).unwrap();
    assert_eq!(fs.image("/d").unwrap(), before);
    assert_eq!(fs.flip_bit("/d/a", 32).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn every_copy_of_a_pattern_can_be_damaged() {
    let fs = disk();
    durable_file(&fs, "/d/a", b"..needle..needle");
    durable_file(&fs, "/d/b", b"needle");
    assert_eq!(fs.damage(b"needle"), 3);
    assert_eq!(fs.damage(b"needle"), 0);
    let after = fs.power_loss(PowerLoss::NothingUnsynced);
    assert_eq!(read(&after, "/d/a").unwrap(), b"..oeedle..oeedle");
    assert_eq!(fs.damage(b""), 0);
}

#[test]
fn errors_are_those_of_a_real_file_system() {
    let fs = disk();
    durable_file(&fs, "/d/a", b"x");
    let kind = |result: io::Result<SimFile>| result.unwrap_err().kind();
    assert_eq!(kind(fs.create_new(Path::new("/d/a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs.create_new(Path::new("/e/a"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.create_new(Path::new("/d/a/b"))), ErrorKind::NotADirectory);
    assert_eq!(kind(fs.open(Path::new("/d/b"), false)), ErrorKind::NotFound);
    assert_eq!(kind(fs.open(Path::new("/d"), false)), ErrorKind::IsADirectory);
    let read_only = fs.open(Path::new("/d/a"), false).unwrap();
    assert!(read_only.write_all_at(b"y", 0).is_err() && read_only.set_len(0).is_err());
    assert_eq!(read_only.read_exact_at(&mut [0; 2], 0).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(fs.create_dir_all(Path::new("/d/a/b")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(fs.read_dir(Path::new("/d")).unwrap(), ["a"]);
}

#[test]
fn the_same_seed_and_choice_leave_the_same_disk() {
    let run = |seed| {
        let fs = SimFs::new(seed);
        for name in ["/a", "/b", "/c"] {
            fs.create_new(Path::new(name)).unwrap().write_all_at(&[1; 5000], 0).unwrap();
        }
        let images = fs.power_losses().into_iter().map(|choice| fs.power_loss(choice).image("/").unwrap());
        images.collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
