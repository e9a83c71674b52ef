//! Real `kvd` processes, real sockets, real disks.

mod bad_starts;
mod cluster;
mod example;
mod folder;
mod forming;
mod leader_kills;
mod limits;
mod load;
mod lost_files;
mod lost_quorum;
mod members;
mod members_refused;
mod operator;
mod raw;
mod reads;
mod real_input;
mod rolling;
mod rude_callers;
mod sessions;
mod strangers;
mod survival;
