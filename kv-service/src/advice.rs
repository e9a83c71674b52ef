//! What an operator can do about a node that has lost data: said here and nowhere else, for it changes with what the
//! programs can do.

/// About a data folder that is gone. An older copy would be worse than none: the node would vote again in terms in which it
/// has voted, and be counted on for what it had acknowledged. (A log that is damaged says so itself.)
pub(crate) const PUT_BACK: &str = "\
    put back exactly this folder as it last was, never an older copy: that one has forgotten votes and acknowledged \
    writes. Failing that";

/// About a data folder that cannot be put back.
pub(crate) const REPLACE: &str = "\
    while a majority of the others goes on, empty the folder, start this node again with the same flags and \
    --join-existing, and let it back in from any node with kvctl member replace NAME; if a majority is lost for ever, kvd recover lets one whole node go \
    on alone";

/// About a node that stayed behind when another one of its cluster went on alone; follows what was found.
pub(crate) const LEFT_BEHIND: &str = "\
    whoever stayed behind when kvd recover let another node go on alone: empty that folder, start the node again \
    with --join-existing and that other node in --join, and let it in with kvctl member add";
