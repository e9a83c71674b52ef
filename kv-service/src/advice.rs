//! What an operator can do today about a node that has lost data: said here and nowhere else, for it changes with
//! what the programs can do.

/// About a data folder that is gone, or has lost something. An older copy would be worse than none: the node would
/// vote again in terms in which it has voted, and be counted on for what it had acknowledged.
pub(crate) const LOST_FOLDER: &str = "\
    put back exactly this folder as it last was, never an older copy: an older one forgets votes and acknowledged \
    writes. Failing that, leave this node stopped: a member cannot be replaced yet, but a majority of the others \
    goes on without it. To be whole again, kvctl export from the others, found a new cluster in empty folders, and \
    kvctl import there";
