//! Every sync in the code is there for a reason: without it, the exploration of crashes finds something lost.

use crate::crash::explore;

#[test]
fn without_any_one_sync_something_is_lost() {
    let sites = explore(None).unwrap_or_else(|violation| panic!("{violation}")).sites;
    assert_eq!(sites.len(), 7, "{sites:?}");
    for site in sites {
        assert!(site.file().starts_with("raft-snapshot/src/"), "{site}");
        assert!(explore(Some(site)).is_err(), "nothing is lost without the sync at {site}");
    }
}
