//! Tests of raft-core from outside.

#[cfg(test)]
#[cfg(feature = "testing")]
mod damage;
#[cfg(test)]
#[cfg(feature = "testing")]
mod driver;
#[cfg(test)]
#[cfg(feature = "testing")]
mod driver_snapshots;
#[cfg(test)]
#[cfg(feature = "testing")]
mod durability;
#[cfg(test)]
#[cfg(feature = "testing")]
mod exploration;
#[cfg(test)]
#[cfg(feature = "testing")]
mod fingerprint;
#[cfg(test)]
#[cfg(feature = "testing")]
mod known_bugs;
#[cfg(test)]
#[cfg(feature = "testing")]
mod labs;
#[cfg(test)]
#[cfg(feature = "testing")]
mod lease;
#[cfg(test)]
#[cfg(feature = "testing")]
mod log_stores;
#[cfg(test)]
#[cfg(feature = "testing")]
mod lost_quorum;
#[cfg(test)]
#[cfg(feature = "testing")]
mod membership;
#[cfg(test)]
#[cfg(feature = "testing")]
mod membership_faults;
#[cfg(test)]
#[cfg(all(feature = "testing", feature = "node"))]
mod node;
#[cfg(test)]
#[cfg(feature = "testing")]
mod ongaro;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_5_1;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_5_2;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_5_3;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_5_3_pace;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_5_4;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_6;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_7;
#[cfg(test)]
#[cfg(feature = "testing")]
mod paper_8;
#[cfg(test)]
#[cfg(feature = "testing")]
mod quorums;
#[cfg(test)]
#[cfg(feature = "testing")]
mod recovery;
#[cfg(test)]
#[cfg(feature = "testing")]
mod scripts;
#[cfg(test)]
#[cfg(feature = "testing")]
mod simulated;
#[cfg(test)]
#[cfg(feature = "testing")]
mod simulation;
#[cfg(test)]
#[cfg(feature = "testing")]
mod snapshot_stores;
#[cfg(test)]
#[cfg(feature = "testing")]
mod state_machines;
#[cfg(test)]
#[cfg(feature = "testing")]
mod support;
#[cfg(test)]
#[cfg(feature = "testing")]
mod transfer;
#[cfg(test)]
#[cfg(feature = "testing")]
mod transports;
