//! Real `kvd` processes, real sockets, real disks.

mod bad_starts;
mod cluster;
mod example;
mod folder;
mod forming;
mod leader_kills;
mod limits;
mod lost_files;
mod raw;
mod reads;
mod real_input;
mod rude_callers;
mod sessions;
mod strangers;
mod survival;
