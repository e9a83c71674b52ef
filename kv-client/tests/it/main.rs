//! The client and `kvctl` against a fake cluster that misbehaves on demand.

mod deadlines;
mod fake;
mod kvctl;
mod leader;
mod many_in_flight;
mod reads;
mod sessions;
