//! A simulated world, invariant checkers and conformance suites.
pub mod chart;
pub mod cluster;
pub mod draw;
pub mod explore;
pub mod hash;
pub mod log_store_suite;
pub mod replay;
pub mod shrink;
pub mod sim_fs;
pub mod sim_log;
pub mod sim_snapshots;
pub mod snapshot_store_suite;
pub mod state_machine_suite;
pub mod suite;
pub mod transport_suite;
pub mod world;

pub use sim_fs::SimFs;
pub use sim_log::SimLog;
pub use sim_snapshots::SimSnapshots;
