//! Tests of raft-core from outside.

#![cfg(test)]
#![cfg(feature = "testing")]

mod damage;
mod driver;
mod driver_snapshots;
mod durability;
mod exploration;
mod fingerprint;
mod known_bugs;
mod labs;
mod lease;
mod log_stores;
mod lost_quorum;
mod membership;
mod membership_faults;
#[cfg(feature = "node")]
mod node;
mod ongaro;
mod paper_5_1;
mod paper_5_2;
mod paper_5_3;
mod paper_5_3_pace;
mod paper_5_4;
mod paper_6;
mod paper_7;
mod paper_8;
mod quorums;
mod recovery;
mod scripts;
mod simulated;
mod simulation;
mod snapshot_stores;
mod state_machines;
mod support;
mod transfer;
mod transports;
