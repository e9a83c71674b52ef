//! The subcommands, one file each: its arguments and `run`.

pub(crate) mod bench;
pub(crate) mod cluster_down;
pub(crate) mod cluster_status;
pub(crate) mod cluster_up;
pub(crate) mod cont;
pub(crate) mod env;
pub(crate) mod explore;
pub(crate) mod kill;
pub(crate) mod lint;
pub(crate) mod restart;
pub(crate) mod sim;
pub(crate) mod stop;
pub(crate) mod test;
pub(crate) mod tidy;
