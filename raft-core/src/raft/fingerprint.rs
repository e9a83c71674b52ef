//! One number for all of a node's consensus that can influence what it will do.
//!
//! Two nodes of equal options and equal fingerprints do the same from now on, given the same inputs, but for *when*: clocks
//! and jitter are left out, and times count for what they mean (a promise binds or not, a probe waits or not). That is what
//! makes exhaustive exploration finite, and what it rests on.

use std::time::Duration;

use super::Raft;
use super::replication::Fetch;
use super::role::{Candidate, Echo, Follower, Leader, PreCandidate, Role, Transfer};
use crate::fingerprint::{AsNamed, Mixer, Moment, Naming};

impl Raft {
    /// Equal for equal states, whatever way led there and however long it took; different states differ, but for chance
    /// collisions at 128 bits. Call it when nothing is left to [`drain`](Self::drain).
    ///
    /// Not part of any format: it may differ between versions of this crate.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint_as(&AsNamed)
    }

    /// The fingerprint that this node would have if names were as in `naming`.
    pub(crate) fn fingerprint_as(&self, naming: &dyn Naming) -> u128 {
        let mut mixer = Mixer::new(naming);
        self.mix(&mut mixer);
        mixer.finish()
    }

    /// The name of the next request for reads to a leader.
    #[cfg(feature = "testing")]
    pub(crate) const fn next_request(&self) -> u64 {
        self.next_request
    }

    fn mix(&self, mixer: &mut Mixer<'_>) {
        let Self {
            id,
            options,
            rng: _,
            now,
            hard_state,
            role,
            terms,
            cache,
            writes,
            damage,
            held,
            configurations,
            commit_index,
            applying,
            fetches: _,
            next_fetch: _,
            next_request,
            disk_is_full,
            snapshot,
            installing,
            election_deadline,
            leader_contact,
            effects: _,
            halted,
        } = self;
        let election_timeout = options.election_timeout;
        let lease = options.lease.map_or(Duration::ZERO, |lease| lease.lasts(election_timeout));
        let moment = Moment { now: *now, election_timeout, lease };
        mixer.node(*id);
        mixer.hard_state(*hard_state);
        role.mix(mixer, moment);
        terms.mix(mixer);
        cache.mix(mixer);
        writes.mix(mixer, moment);
        damage.mix(mixer, |write| writes.age(write));
        held.mix(mixer, |write| writes.age(write));
        configurations.mix(mixer);
        mixer.index(*commit_index);
        applying.mix(mixer);
        self.mix_fetches(mixer);
        mixer.request(*next_request);
        mixer.flag(*disk_is_full);
        snapshot.mix(mixer);
        mixer.option(installing.as_ref(), |mixer, installing| installing.mix(mixer));
        let leads = matches!(role, Role::Leader(_));
        mixer.flag(!leads && moment.is_past(*election_deadline));
        mixer.flag(leader_contact.is_some_and(|at| moment.is_recent(at)));
        mixer.flag(*halted);
    }

    fn mix_fetches(&self, mixer: &mut Mixer<'_>) {
        mixer.list(&self.fetches, |mixer, (id, fetch)| {
            mixer.add(self.next_fetch.saturating_sub(*id));
            if let Fetch::Peer(peer) = fetch {
                mixer.node(*peer);
            }
            // An answer counts only for the newest one of its peer.
            let counts = match (fetch, &self.role) {
                (Fetch::Peer(peer), Role::Leader(leader)) => {
                    leader.progress.get(*peer).is_some_and(|progress| progress.fetching == Some(*id))
                }
                (Fetch::Peer(_), _) => false,
                (Fetch::Apply, _) => true,
            };
            mixer.flag(counts);
        });
    }
}

impl Role {
    fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        match self {
            Self::Follower(follower) => {
                mixer.add(0);
                follower.mix(mixer, moment);
            }
            Self::PreCandidate(PreCandidate { votes, follower }) => {
                mixer.add(1);
                votes.mix(mixer);
                follower.mix(mixer, moment);
            }
            Self::Candidate(Candidate { votes, forced }) => {
                mixer.add(2);
                votes.mix(mixer);
                mixer.flag(*forced);
            }
            Self::Leader(leader) => {
                mixer.add(3);
                leader.mix(mixer, moment);
            }
        }
    }
}

impl Follower {
    fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        let Self { leader, matched, acknowledged, unanswered, forwarded } = self;
        mixer.option(*leader, Mixer::node);
        mixer.index(*matched);
        mixer.index(*acknowledged);
        // What the leader's clock said then means something to the leader only.
        mixer.option(*unanswered, |mixer, Echo { read_seq, sent_at: _ }| mixer.add(read_seq));
        forwarded.mix(mixer, moment);
    }
}

impl Leader {
    fn mix(&self, mixer: &mut Mixer<'_>, moment: Moment) {
        let Self { term_start, progress, reads, uncommitted, heartbeat_at, transfer, lease_is_off } = self;
        mixer.index(*term_start);
        mixer.set(progress.iter(), |mixer, (peer, progress)| {
            mixer.node(peer);
            progress.mix(mixer, moment);
        });
        reads.mix(mixer);
        uncommitted.mix(mixer);
        mixer.flag(moment.is_past(*heartbeat_at));
        mixer.option(*transfer, |mixer, Transfer { to, until, asked }| {
            mixer.node(to);
            mixer.flag(moment.is_past(until));
            mixer.flag(asked);
        });
        mixer.flag(*lease_is_off);
    }
}
