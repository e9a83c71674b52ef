//! Sending and receiving: any order, missing and wrong chunks, wrong offers, resuming, taking over.

use std::io::ErrorKind;

use proptest::prelude::*;
use raft_core::fs::{File, Fs};
use raft_core::storage::{SnapshotEvent, SnapshotStore};
use raft_core::types::{EntryId, LogIndex, Term};
use raft_snapshot::{FileError, Options};

use crate::support::*;

fn received(event: &SnapshotEvent) -> bool {
    matches!(event, SnapshotEvent::Published(_))
}

#[test]
fn a_received_snapshot_is_published_and_reads_as_the_sender_wrote_it() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    assert_eq!(store.latest_index(), 0, "finished is not published");
    assert!(received(&store.publish(&info)));
    assert_eq!(store.files.latest(), Some(info));
    assert_eq!(store.read().unwrap(), state_at(10));
    let names: Vec<_> = fs.image(DIR).unwrap().into_keys().collect();
    assert_eq!(names, [file_name(10), "lock".into()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chunks_of_any_size_arrive_in_any_order_and_more_than_once(
        chunk_bytes in 1..700u32,
        page_bytes in 64..300u32,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        length in 0..1500usize,
    ) {
        let options = Options { page_bytes, chunk_bytes, state_version: 1 };
        let mut sender = Store::try_open(DIR, disk(), options).unwrap();
        let state: Vec<u8> = state_at(3).into_iter().cycle().take(length).collect();
        sender.files.create(meta_at(10), Box::new(State(state.clone())));
        sender.run();
        let (info, mut source) = sender.files.source().unwrap();
        let mut store = Store::open(&disk());
        let mut sink = store.sink(&info);
        sink.have().unwrap();
        for at in order {
            let number = at.index(info.chunk_count() as usize) as u64;
            sink.write_chunk(number, &source.read_chunk(number).unwrap()).unwrap();
        }
        drop(sink);
        transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
        prop_assert!(received(&store.publish(&info)));
        prop_assert_eq!(store.read().unwrap(), state);
    }
}

#[test]
fn finishing_too_early_names_the_missing_chunk_and_the_sink_goes_on() {
    let mut store = Store::open(&disk());
    let (info, mut source) = elsewhere(10);
    let mut sink = store.sink(&info);
    sink.have().unwrap();
    sink.write_chunk(0, &source.read_chunk(0).unwrap()).unwrap();
    let error = sink.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("chunk 1 of"), "{error}");
    for number in 1..info.chunk_count() {
        sink.write_chunk(number, &source.read_chunk(number).unwrap()).unwrap();
    }
    sink.finish().unwrap();
    sink.finish().unwrap();
}

#[test]
fn a_chunk_of_wrong_number_or_length_is_refused() {
    let mut store = Store::open(&disk());
    let (info, mut source) = elsewhere(10);
    let mut sink = store.sink(&info);
    sink.have().unwrap();
    let last = info.chunk_count() - 1;
    for (number, length) in [(0, 255), (0, 257), (0, 0), (last, 256), (last + 1, 0), (u64::MAX, 256)] {
        let error = sink.write_chunk(number, &vec![0; length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{number} {length}: {error}");
    }
    assert_eq!(source.read_chunk(last + 1).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn a_changed_chunk_is_found_at_the_end_and_the_file_given_up() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    for number in 0..info.chunk_count() {
        let mut sink = store.sink(&info);
        sink.have().unwrap();
        for other in 0..info.chunk_count() {
            let mut chunk = source.read_chunk(other).unwrap().to_vec();
            chunk[17] ^= u8::from(other == number);
            sink.write_chunk(other, &chunk).unwrap();
        }
        let error = sink.finish().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(error.get_ref().unwrap().is::<FileError>(), "{error}");
        assert!(reason(&store.publish(&info)).contains("no transfer of it was finished"));
        assert!(!store.sink(&info).have().unwrap().contains(0), "what was wrong is not resumed");
    }
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    assert!(received(&store.publish(&info)));
}

#[test]
fn a_whole_file_with_another_digest_than_offered_is_refused() {
    let mut store = Store::open(&disk());
    let (mut info, mut source) = elsewhere(10);
    info.digest[0] ^= 1;
    let error = transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("BLAKE3"), "{error}");
    assert!(reason(&store.publish(&info)).contains("no transfer"));
    assert_eq!(store.latest_index(), 0);
}

#[test]
fn a_whole_file_that_stands_for_something_else_than_offered_is_refused() {
    let (info, mut source) = elsewhere(10);
    let mut wrong_index = info.clone();
    wrong_index.meta.last.index = LogIndex(11);
    let mut wrong_members = info.clone();
    wrong_members.meta.configuration = None;
    let mut wrong_set_at = info.clone();
    wrong_set_at.meta.configuration_index = LogIndex(2);
    for wrong in [wrong_index, wrong_members, wrong_set_at] {
        let mut store = Store::open(&disk());
        let error = transfer(&wrong, &mut *source, &mut *store.sink(&wrong)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("stands for entry 10@1"), "{error}");
        assert!(reason(&store.publish(&wrong)).contains("no transfer"));
        // Nor is it taken under the wrong offer once the right one was finished.
        transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
        assert_eq!(store.sink(&wrong).have().unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(received(&store.publish(&info)));
    }
}

#[test]
fn offers_of_absurd_size_are_refused_before_anything_is_written() {
    let (info, _) = elsewhere(10);
    for (length, chunk_bytes) in [(info.length, 0), (0, 256), (u64::MAX, 1), (1 << 40, 17 << 20)] {
        let fs = disk();
        let mut store = Store::open(&fs);
        let mut absurd = info.clone();
        (absurd.length, absurd.chunk_bytes) = (length, chunk_bytes);
        let before = fs.operations();
        let error = store.sink(&absurd).have().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert_eq!(fs.operations(), before);
    }
}

#[test]
fn an_offer_that_is_not_newer_is_refused() {
    let mut store = Store::open(&disk());
    store.create(20);
    for index in [10, 20] {
        let error = store.sink(&elsewhere(index).0).have().unwrap_err();
        assert!(error.to_string().contains("not newer than the published one of entry 20@2"), "{error}");
    }
}

#[test]
fn publishing_what_was_never_received_fails() {
    let mut store = Store::open(&disk());
    let event = store.publish(&elsewhere(10).0);
    assert!(matches!(event, SnapshotEvent::Failed { received: true, last, .. } if last == meta_at(10).last));
}

#[test]
fn a_restart_between_finish_and_publish_fails_cleanly_and_the_next_transfer_sends_nothing() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    drop(store);
    let mut store = Store::open(&fs.kill());
    assert_eq!(store.report.resumable.len(), 1);
    assert!(reason(&store.publish(&info)).contains("since this process started"));
    let mut sink = store.sink(&info);
    let held = sink.have().unwrap();
    assert!((0..info.chunk_count()).all(|number| held.contains(number)));
    sink.finish().unwrap();
    assert!(received(&store.publish(&info)));
}

#[test]
fn a_cut_transfer_goes_on_where_it_stopped_also_after_a_restart() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    assert_eq!(info.chunk_bytes % SMALL.page_bytes, 0);
    let mut sink = store.sink(&info);
    sink.have().unwrap();
    for number in [0, 2] {
        sink.write_chunk(number, &source.read_chunk(number).unwrap()).unwrap();
    }
    drop(sink);
    for restart in [false, true] {
        if restart {
            store = Store::open(&fs.kill());
        }
        let mut sink = store.sink(&info);
        let held = sink.have().unwrap();
        let held: Vec<_> = (0..info.chunk_count()).filter(|&number| held.contains(number)).collect();
        assert_eq!(held, [0, 2]);
    }
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    assert!(received(&store.publish(&info)));
}

#[test]
fn without_its_first_chunk_a_partial_file_proves_itself_if_its_pages_are_cut_as_ours() {
    for (page_bytes, proven) in [(SMALL.page_bytes, vec![1]), (SMALL.page_bytes + 1, vec![])] {
        let mut store = Store::try_open(DIR, disk(), Options { page_bytes, ..SMALL }).unwrap();
        let (info, mut source) = elsewhere(10);
        let mut sink = store.sink(&info);
        sink.have().unwrap();
        sink.write_chunk(1, &source.read_chunk(1).unwrap()).unwrap();
        let held = store.sink(&info).have().unwrap();
        let held: Vec<_> = (0..info.chunk_count()).filter(|&number| held.contains(number)).collect();
        assert_eq!(held, proven);
        transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
        assert!(received(&store.publish(&info)));
    }
}

#[test]
fn what_is_published_is_what_was_finished_last() {
    let mut store = Store::open(&disk());
    let (info, mut source) = elsewhere(10);
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    let mut other_leader = info.clone();
    other_leader.chunk_bytes = 100;
    let mut liar = info.clone();
    liar.length -= 1;
    assert!(store.sink(&liar).have().unwrap_err().to_string().contains("length"));
    let mut sink = store.sink(&other_leader);
    assert!(sink.have().unwrap().contains(other_leader.chunk_count() - 1));
    sink.finish().unwrap();
    assert!(reason(&store.publish(&info)).contains("no transfer of it was finished"));
    assert!(received(&store.publish(&other_leader)));
    let (sent, mut source) = store.files.source().unwrap();
    assert_eq!(sent, other_leader);
    for number in 0..sent.chunk_count() {
        source.read_chunk(number).unwrap();
    }
}

#[test]
fn a_later_sink_takes_over_and_the_earlier_one_can_do_no_harm() {
    let mut store = Store::open(&disk());
    let (info, mut source) = elsewhere(10);
    let mut earlier = store.sink(&info);
    let mut overtaken = store.sink(&info);
    let mut later = store.sink(&info);
    earlier.have().unwrap();
    transfer(&info, &mut *source, &mut *later).unwrap();
    let garbage = vec![0; info.chunk_bytes as usize];
    for error in [
        earlier.write_chunk(0, &garbage).unwrap_err(),
        earlier.finish().unwrap_err(),
        overtaken.have().unwrap_err(),
    ] {
        assert!(error.to_string().contains("another transfer took its place"), "{error}");
    }
    assert!(later.write_chunk(0, &garbage).unwrap_err().to_string().contains("after `finish`"));
    // A sink made after the end has nothing to do, and may do nothing.
    let mut last = store.sink(&info);
    assert!(last.have().unwrap().contains(0));
    last.write_chunk(0, &garbage).unwrap_err();
    last.finish().unwrap();
    assert!(received(&store.publish(&info)));
    last.write_chunk(0, &garbage).unwrap_err();
    assert_eq!(store.read().unwrap(), state_at(10));
}

#[test]
fn calls_out_of_order_are_refused() {
    let mut store = Store::open(&disk());
    let (info, _) = elsewhere(10);
    let mut sink = store.sink(&info);
    assert!(sink.write_chunk(0, &[0; 256]).is_err());
    assert!(sink.finish().is_err());
}

#[test]
fn partial_files_of_other_transfers_go_but_a_finished_one_stays() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let offers = [10, 20, 30].map(elsewhere);
    let parts = |fs: &raft_core::testing::SimFs| {
        fs.image(DIR).unwrap().into_keys().filter(|name| name.ends_with(".part")).count()
    };
    store.sink(&offers[0].0).have().unwrap();
    let [_, (finished, mut source), (newer, _)] = offers;
    transfer(&finished, &mut *source, &mut *store.sink(&finished)).unwrap();
    assert_eq!(parts(&fs), 1, "the first one went");
    store.sink(&newer).have().unwrap();
    assert_eq!(parts(&fs), 2);
    assert!(received(&store.publish(&finished)));
    assert_eq!(store.read().unwrap(), state_at(20));
}

#[test]
fn what_was_finished_is_refused_once_something_newer_is_published() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    store.create(20);
    let event = store.publish(&info);
    assert!(matches!(event, SnapshotEvent::Failed { received: true, .. }));
    assert!(reason(&event).contains("not newer"));
    assert_eq!(store.latest_index(), 20);
    drop(store);
    let store = Store::open(&fs.kill());
    assert_eq!((store.report.resumable.len(), store.report.removed.len()), (0, 0));
}

#[test]
fn a_full_disk_is_told_and_gets_its_room_back() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    fs.set_capacity(Some(info.length as usize - 1));
    assert_eq!(store.sink(&info).have().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(fs.image(DIR).unwrap().len(), 1, "only the lock");
    fs.set_capacity(None);
    let mut sink = store.sink(&info);
    sink.have().unwrap();
    fs.fail_at(fs.operations());
    sink.write_chunk(0, &source.read_chunk(0).unwrap()).unwrap_err();
    assert_eq!(fs.image(DIR).unwrap().len(), 1, "only the lock");
    assert!(sink.write_chunk(0, &source.read_chunk(0).unwrap()).is_err(), "given up");
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
}

#[test]
fn a_file_whose_sync_failed_is_never_believed() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    let mut sink = store.sink(&info);
    sink.have().unwrap();
    for number in 0..info.chunk_count() {
        sink.write_chunk(number, &source.read_chunk(number).unwrap()).unwrap();
    }
    fs.fail_at(fs.operations());
    assert!(sink.finish().unwrap_err().to_string().contains("cannot sync the file"));
    sink.finish().unwrap_err();
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    assert!(received(&store.publish(&info)));
    drop(store);
    assert_eq!(Store::open(&fs.power_loss(fs.power_losses()[0])).latest_index(), 10);
}

#[test]
fn chunks_that_never_reached_the_medium_are_asked_for_again_after_a_restart() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    let mut sink = store.sink(&info);
    sink.have().unwrap();
    for number in 0..info.chunk_count() {
        sink.write_chunk(number, &source.read_chunk(number).unwrap()).unwrap();
    }
    fs.fail_at(fs.operations());
    fs.crash_at(fs.operations() + 1);
    sink.finish().unwrap_err();
    drop((sink, store));
    let mut store = Store::open(&fs.kill());
    assert_eq!(store.report.resumable.len(), 1, "the crash came before the file could be removed");
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    assert!(received(&store.publish(&info)));
}

#[test]
fn zeros_prove_nothing_even_where_their_checksum_is_zero() {
    // The one term below 2^32 for which page 1, empty but for its checksum of zero, verifies.
    let last = EntryId::new(Term(4198230522), LogIndex(10));
    let salt = [last.index.0, last.term.0, 1].map(u64::to_le_bytes).concat();
    assert_eq!(crc32fast::hash(&[&salt[..], &[0; 124]].concat()), 0);
    let mut info = elsewhere(10).0;
    (info.meta.last, info.chunk_bytes) = (last, SMALL.page_bytes);
    let held = Store::open(&disk()).sink(&info).have().unwrap();
    assert!((0..info.chunk_count()).all(|number| !held.contains(number)));
}

#[test]
fn a_running_source_and_reader_outlive_retention() {
    let fs = disk();
    let mut store = Store::open(&fs);
    store.create(10);
    let (info, mut source) = store.files.source().unwrap();
    let (_, mut reader) = store.files.reader().unwrap();
    source.read_chunk(0).unwrap();
    for index in [20, 30, 40] {
        store.create(index);
    }
    assert!(fs.contents(format!("{DIR}/{}", file_name(10))).is_err(), "the name is gone");
    let mut receiver = Store::open(&disk());
    transfer(&info, &mut *source, &mut *receiver.sink(&info)).unwrap();
    assert!(received(&receiver.publish(&info)));
    assert_eq!(receiver.read().unwrap(), state_at(10));
    let mut state = Vec::new();
    reader.read_to_end(&mut state).unwrap();
    assert_eq!(state, state_at(10));
}

#[test]
fn a_source_never_sends_a_rotten_chunk() {
    let fs = disk();
    let mut store = Store::open(&fs);
    store.create(10);
    let (info, mut source) = store.files.source().unwrap();
    let path = format!("{DIR}/{}", file_name(10));
    for byte in 0..info.length as usize {
        fs.flip_bit(&path, byte * 8).unwrap();
        let rotten = byte as u64 / u64::from(info.chunk_bytes);
        let error = source.read_chunk(rotten).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{byte}");
        assert!(error.to_string().contains(&file_name(10)), "{error}");
        fs.flip_bit(&path, byte * 8).unwrap();
        source.read_chunk(rotten).unwrap();
    }
}

#[test]
fn a_partial_file_that_rots_is_asked_for_again_where_it_rotted() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    drop(store);
    let fs = fs.kill();
    let part = fs.image(DIR).unwrap().into_keys().find(|name| name.ends_with(".part")).unwrap();
    let part = format!("{DIR}/{part}");
    fs.flip_bit(&part, 300 * 8).unwrap();
    let mut store = Store::open(&fs);
    let held = store.sink(&info).have().unwrap();
    let lacking: Vec<_> = (0..info.chunk_count()).filter(|&number| !held.contains(number)).collect();
    assert_eq!(lacking, [1]);
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
    assert!(received(&store.publish(&info)));
    assert_eq!(store.read().unwrap(), state_at(10));
}

#[test]
fn a_partial_file_of_another_length_is_brought_to_the_offered_one() {
    let fs = disk();
    let mut store = Store::open(&fs);
    let (info, mut source) = elsewhere(10);
    store.sink(&info).have().unwrap();
    let part = fs.image(DIR).unwrap().into_keys().find(|name| name.ends_with(".part")).unwrap();
    let file = fs.open(format!("{DIR}/{part}").as_ref(), true).unwrap();
    for length in [0, 10, info.length + 1000] {
        file.set_len(length).unwrap();
        store.sink(&info).have().unwrap();
        assert_eq!(file.len().unwrap(), info.length);
    }
    transfer(&info, &mut *source, &mut *store.sink(&info)).unwrap();
}
