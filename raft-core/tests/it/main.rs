//! Tests of raft-core from outside.

#[cfg(test)]
#[cfg(feature = "testing")]
mod log_stores;
#[cfg(test)]
#[cfg(feature = "testing")]
mod simulation;
#[cfg(test)]
#[cfg(feature = "testing")]
mod snapshot_stores;
