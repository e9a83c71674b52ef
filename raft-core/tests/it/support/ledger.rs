//! A state machine that writes down every command it is given.

use std::io::{self, Read, Write};

use raft_core::snapshot::SnapshotView;
use raft_core::state_machine::{ApplyError, StateMachine};
use raft_core::{Block, EntryKind};

/// A command that no ledger can apply.
pub(crate) const POISON: &str = "poison";

/// A command to which a ledger, against its contract, has no reply.
pub(crate) const MUTE: &str = "mute";

/// See the module. Its reply to an entry is the number of commands so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) commands: Vec<String>,
}

impl StateMachine for Ledger {
    type Reply = usize;

    fn apply(&mut self, batch: &[Block], replies: &mut Vec<usize>) -> Result<(), ApplyError> {
        for entry in batch.iter().flat_map(Block::entries) {
            if entry.payload == POISON.as_bytes() {
                return Err("poisoned".into());
            }
            if entry.payload == MUTE.as_bytes() {
                continue;
            }
            if entry.kind == EntryKind::Normal {
                self.commands.push(String::from_utf8(entry.payload.to_vec())?);
            }
            replies.push(self.commands.len());
        }
        Ok(())
    }

    fn freeze(&self) -> Box<dyn SnapshotView> {
        Box::new(Frozen(self.commands.join("\n")))
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        self.commands = text.lines().map(str::to_owned).collect();
        if self.commands.iter().any(|command| command == "unloadable") {
            return Err("not a ledger".into());
        }
        Ok(())
    }
}

struct Frozen(String);

impl SnapshotView for Frozen {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.0.as_bytes())
    }
}
