//! A log on a simulated disk beside a model of what it must hold, and the judgement over what a crash leaves of
//! it.

use std::path::Path;

use raft_core::block::{Block, BlockBuilder, EntryKind};
use raft_core::configuration::{Configuration, Member, MemberRole};
use raft_core::fs::Fs;
use raft_core::snapshot::SnapshotMeta;
use raft_core::storage::{LogEvent, LogStore, ReadRequest, Recovered, Write};
use raft_core::testing::SimFs;
use raft_core::{ClusterId, EntryId, HardState, LogIndex, NodeId, Term, WriteId};
use raft_log::{LogOptions, RecoveryReport, SegmentedLog, create};

use crate::support::{DIR, Opening, SMALL, node_id, open_log};

/// What a check found wrong.
pub(crate) type Violation = String;

pub(crate) type Checked = Result<(), Violation>;

/// One entry of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: EntryId,
    pub(crate) kind: EntryKind,
    pub(crate) payload: Vec<u8>,
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) hard_state: HardState,
    pub(crate) base: EntryId,
    pub(crate) entries: Vec<Entry>,
}

impl State {
    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// The states that a crash during `write` may leave, the whole write last.
    fn stages(&self, write: &Write) -> Vec<Self> {
        let mut state = self.clone();
        let mut stages = Vec::new();
        if let Some(hard_state) = write.hard_state {
            state.hard_state = hard_state;
            stages.push(state.clone());
        }
        if let Some(base) = write.reset {
            (state.base, state.entries) = (base, Vec::new());
            stages.push(state.clone());
        }
        if let Some(from) = write.truncate_from {
            state.entries.retain(|entry| entry.id.index < from);
            stages.push(state.clone());
        }
        for entry in entries_of(&write.append) {
            state.entries.push(entry);
            stages.push(state.clone());
        }
        if stages.is_empty() { vec![state] } else { stages }
    }

    pub(crate) fn apply(&mut self, write: &Write) {
        *self = self.stages(write).pop().expect("at least one");
    }

    /// What opening with this snapshot makes of it.
    fn above(mut self, floor: EntryId) -> Self {
        let contains = floor == self.base || self.entries.iter().any(|entry| entry.id == floor);
        if floor.index > self.base.index && !contains {
            (self.base, self.entries) = (floor, Vec::new());
        }
        self
    }

    /// Without the entries through `base`; `None` if that is none of them.
    fn compacted(mut self, base: EntryId) -> Option<Self> {
        if base != self.base {
            let at = self.entries.iter().position(|entry| entry.id == base)?;
            self.entries.drain(..=at);
            self.base = base;
        }
        Some(self)
    }

    fn configurations(&self) -> Vec<(LogIndex, Configuration)> {
        let entries = self.entries.iter().filter(|entry| entry.kind == EntryKind::Configuration);
        entries.map(|entry| (entry.id.index, Configuration::decode(&entry.payload).unwrap())).collect()
    }

    pub(crate) fn matches(&self, recovered: &Recovered) -> bool {
        let mut runs = recovered.runs.iter().peekable();
        let mut term = self.base.term;
        let runs_fit = self.entries.iter().all(|entry| {
            if let Some(run) = runs.next_if(|run| run.first == entry.id.index) {
                term = run.term;
            }
            entry.id.term == term
        });
        runs_fit
            && runs.next().is_none()
            && (self.hard_state, self.base, self.last())
                == (recovered.hard_state, recovered.base, recovered.last)
            && self.configurations() == recovered.configurations
    }
}

pub(crate) fn entries_of(blocks: &[Block]) -> Vec<Entry> {
    let entries = blocks.iter().flat_map(Block::entries);
    entries.map(|entry| Entry { id: entry.id, kind: entry.kind, payload: entry.payload.to_vec() }).collect()
}

/// Everything in a log that opened, by reading it.
pub(crate) fn contents<F: Fs>(log: &SegmentedLog<F>, recovered: &Recovered) -> Result<State, Violation> {
    let Recovered { hard_state, base, last, .. } = recovered.clone();
    let request = ReadRequest { id: 0, from: base.index.next(), through: last.index, max_bytes: usize::MAX };
    let blocks = log.reader().read(request).map_err(|failure| format!("cannot be read: {failure:?}"))?;
    let state = State { hard_state, base, entries: entries_of(&blocks) };
    if !state.matches(recovered) {
        return Err(format!("recovered {recovered:?}, but reading gives {} entries", state.entries.len()));
    }
    Ok(state)
}

pub(crate) fn snapshot(last: EntryId) -> SnapshotMeta {
    SnapshotMeta { last, configuration_index: LogIndex::ZERO, configuration: None }
}

/// A block of `count` entries after `last`. No two payloads are alike.
pub(crate) fn block(last: EntryId, term: Term, count: u64, bytes: usize) -> Block {
    let mut builder = BlockBuilder::new();
    for index in 1..=count {
        let name = format!("<{}@{term}>", last.index.0 + index);
        let payload: Vec<u8> = name.bytes().cycle().take(bytes.max(name.len())).collect();
        builder.push(EntryKind::Normal, &[&payload]);
    }
    builder.finish(last.index.next(), term).unwrap()
}

fn configuration_block(last: EntryId, term: Term) -> Block {
    let member = |number: u64| Member {
        id: NodeId::new(number).unwrap(),
        role: MemberRole::Voter,
        newest_version: 1,
        name: format!("n{number}"),
        peer_address: format!("n{number}:1"),
        client_address: format!("n{number}:2"),
    };
    let members = (1..=1 + last.index.0 % 5).map(member).collect();
    let mut bytes = Vec::new();
    Configuration::new(1, members).unwrap().encode(&mut bytes);
    let mut builder = BlockBuilder::new();
    builder.push(EntryKind::Configuration, &[&bytes]);
    builder.finish(last.index.next(), term).unwrap()
}

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A new term, and a vote in it.
    Vote,
    /// So many entries of so many bytes each.
    Append(u64, usize),
    /// A configuration entry.
    Configure,
    /// A new term whose leader replaces the last so many entries by one.
    Overwrite(u64),
    /// The last so many entries go.
    Truncate(u64),
    /// A published snapshot so far past the end replaces the log, and one entry follows.
    Reset(u64),
    /// A published snapshot of the last entry but so many; the log before it may go.
    Compact(u64),
    /// The log works until it is idle.
    Settle,
    /// Everything is marked as durable.
    Mark,
    /// So many pieces of the next segment are made.
    Prepare(u64),
    /// The log is closed and opened again.
    Reopen,
}

/// A log under test with its model.
pub(crate) struct World {
    pub(crate) fs: SimFs,
    pub(crate) options: LogOptions,
    log: Option<Opening<SimFs>>,
    /// States after each write, from the last one that was known to be durable on.
    states: Vec<State>,
    writes: Vec<Write>,
    /// The newest published snapshot.
    pub(crate) floor: EntryId,
    /// Compaction may have dropped entries through this one.
    compacted: LogIndex,
    created: bool,
    /// Of lives of the log before this one.
    failed_preparations: u64,
}

impl World {
    /// A disk with the folder above the log's.
    pub(crate) fn new(fs: SimFs) -> Self {
        fs.create_dir_all(Path::new("/data")).unwrap();
        fs.settle();
        Self {
            fs,
            options: SMALL,
            log: None,
            states: vec![State::default()],
            writes: Vec::new(),
            floor: EntryId::ZERO,
            compacted: LogIndex::ZERO,
            created: false,
            failed_preparations: 0,
        }
    }

    /// Runs a script until it ends, or the disk crashes. Whatever happens without a crash must be as the model
    /// says.
    pub(crate) fn run(&mut self, script: &[Step]) -> Checked {
        match self.try_run(script) {
            Err(_) if self.fs.crashed().is_some() => Ok(()),
            outcome => outcome,
        }
    }

    /// As [`run`](Self::run), or if the log is open already, runs the script on it.
    pub(crate) fn run_or_go_on(&mut self, script: &[Step]) -> Checked {
        if self.log.is_none() {
            return self.run(script);
        }
        match self.run_on(script) {
            Err(_) if self.fs.crashed().is_some() => Ok(()),
            outcome => outcome,
        }
    }

    /// Runs a script until it ends, or something fails.
    pub(crate) fn try_run(&mut self, script: &[Step]) -> Checked {
        create(Path::new(DIR), self.fs.clone(), &self.options, node_id()).map_err(show)?;
        self.created = true;
        self.open()?;
        self.run_on(script)?;
        self.settle()
    }

    /// Runs more of a script on an open log.
    pub(crate) fn run_on(&mut self, script: &[Step]) -> Checked {
        script.iter().try_for_each(|&step| self.step(step))
    }

    fn open(&mut self) -> Checked {
        self.failed_preparations += self.failed_preparations_now();
        self.log = None;
        let opening =
            open_log(&self.fs, Path::new(DIR), &self.options, &snapshot(self.floor)).map_err(show)?;
        let found = contents(&opening.log, &opening.opened.recovered)?;
        self.compacted = self.compacted.max(self.floor.index);
        self.states = vec![self.judge(found)?];
        self.log = Some(opening);
        Ok(())
    }

    fn step(&mut self, step: Step) -> Checked {
        let state = self.states.last().expect("there is a newest state").clone();
        let (last, term) = (state.last(), state.hard_state.current_term);
        let next_term = HardState {
            cluster_id: Some(ClusterId(7)),
            current_term: term.next(),
            voted_for: NodeId::new(term.0 + 1),
        };
        // No core truncates what a snapshot covers.
        let held = state.base.index.max(self.floor.index);
        let entry_before_last = |count: u64| {
            let index = LogIndex(last.index.0.saturating_sub(count)).max(held);
            let entry = state.entries.iter().find(|entry| entry.id.index == index);
            entry.map_or(state.base, |entry| entry.id)
        };
        match step {
            Step::Vote => self.submit(Write { hard_state: Some(next_term), ..Write::default() }),
            Step::Append(count, bytes) => {
                let append = vec![block(last, term, count, bytes)];
                self.submit(Write { append: append.into(), ..Write::default() });
            }
            Step::Configure => {
                let append = vec![configuration_block(last, term)];
                self.submit(Write { append: append.into(), ..Write::default() });
            }
            Step::Overwrite(count) => {
                let base = entry_before_last(count);
                let append = vec![block(base, term.next(), 1, 40)];
                let truncate_from = Some(base.index.next());
                self.submit(Write {
                    hard_state: Some(next_term),
                    truncate_from,
                    append: append.into(),
                    ..Write::default()
                });
            }
            Step::Truncate(count) => {
                let truncate_from = Some(entry_before_last(count).index.next());
                self.submit(Write { truncate_from, ..Write::default() });
            }
            Step::Reset(ahead) => {
                // The term of a snapshot's sender is durable before the snapshot is published.
                self.settle()?;
                let base = EntryId::new(term, LogIndex(last.index.0 + ahead));
                self.floor = base;
                let append = vec![block(base, term, 1, 40)];
                self.submit(Write { reset: Some(base), append: append.into(), ..Write::default() });
            }
            Step::Compact(keep) => {
                self.settle()?;
                self.floor = entry_before_last(keep);
                self.compacted = self.floor.index;
                let through = self.floor.index;
                self.opening().log.compact(through);
            }
            Step::Settle => self.settle()?,
            Step::Mark => {
                self.settle()?;
                self.opening().log.mark();
            }
            Step::Prepare(pieces) => (0..pieces).for_each(|_| _ = self.opening().log.prepare()),
            Step::Reopen => {
                self.settle()?;
                self.open()?;
            }
        }
        Ok(())
    }

    fn opening(&mut self) -> &mut Opening<SimFs> {
        self.log.as_mut().expect("open")
    }

    fn submit(&mut self, write: Write) {
        let write = Write { id: WriteId(self.writes.len() as u64 + 1), ..write };
        let mut state = self.states.last().expect("there is a newest state").clone();
        state.apply(&write);
        self.states.push(state);
        self.writes.push(write.clone());
        self.opening().log.submit(write);
    }

    /// Lets the log work; forgets the states before the last one that it reports durable.
    fn settle(&mut self) -> Checked {
        for event in self.opening().run() {
            match event {
                LogEvent::Durable(id) => {
                    let pending = self.writes.len() - id.0 as usize;
                    self.states.drain(..self.states.len() - 1 - pending);
                }
                event => return Err(format!("{event:?}")),
            }
        }
        match self.states.len() {
            1 => Ok(()),
            states => Err(format!("idle with {} writes pending", states - 1)),
        }
    }

    /// Takes what an opened log holds for the truth, if some state that a crash may leave now looks like this.
    pub(crate) fn judge(&self, found: State) -> Result<State, Violation> {
        let mut allowed = vec![self.states[0].clone()];
        let pending = &self.writes[self.writes.len() + 1 - self.states.len()..];
        for (state, write) in self.states.iter().zip(pending) {
            allowed.extend(state.stages(write));
        }
        let fits = allowed.into_iter().any(|state| {
            let state = state.above(self.floor);
            let limit = self.compacted.max(state.base.index);
            found.base.index <= limit && state.compacted(found.base).as_ref() == Some(&found)
        });
        if fits {
            return Ok(found);
        }
        let (durable, newest) = (&self.states[0], &self.states[self.states.len() - 1]);
        Err(format!(
            "found {}, where {} was durable and {} submitted",
            summary(&found),
            summary(durable),
            summary(newest)
        ))
    }

    /// What was durable and what was submitted so far, over what a crash left of the disk.
    pub(crate) fn after_crash(&self, fs: SimFs) -> Self {
        Self {
            fs,
            options: self.options,
            log: None,
            states: self.states.clone(),
            writes: self.writes.clone(),
            floor: self.floor,
            compacted: self.compacted,
            created: self.created,
            failed_preparations: 0,
        }
    }

    /// Opens what a crash left; what is found becomes the one durable state. A log whose creation crashed may not
    /// be there yet, and is created.
    pub(crate) fn recover(&mut self) -> Checked {
        match self.try_recover() {
            Err(_) if self.fs.crashed().is_some() => Ok(()),
            outcome => outcome,
        }
    }

    fn try_recover(&mut self) -> Checked {
        let dir = Path::new(DIR);
        if !self.created && self.fs.contents(dir.join("meta")).is_err() {
            create(dir, self.fs.clone(), &self.options, node_id()).map_err(show)?;
            self.created = true;
        }
        self.open()?;
        self.writes.clear();
        Ok(())
    }

    /// Whether a write was submitted that is not known to be durable.
    pub(crate) fn has_pending_writes(&self) -> bool {
        self.states.len() > 1 || !self.created
    }

    /// The one state that is durable, after recovery.
    pub(crate) fn recovered(&self) -> &State {
        &self.states[0]
    }

    /// What the newest opening did.
    pub(crate) fn report(&self) -> &RecoveryReport {
        &self.log.as_ref().expect("open").opened.report
    }

    /// Submits a few writes and makes them durable.
    pub(crate) fn go_on(&mut self) -> Checked {
        match self.run_on(&[Step::Append(2, 30), Step::Vote, Step::Append(1, 5000), Step::Settle]) {
            Err(_) if self.fs.crashed().is_some() => Ok(()),
            outcome => outcome,
        }
    }

    /// What the log says if it is asked to go on after a failure.
    pub(crate) fn events_after_failure(&mut self) -> Vec<LogEvent> {
        let last = self.states.last().expect("there is a newest state").last();
        let Some(opening) = &mut self.log else { return Vec::new() };
        let id = WriteId(self.writes.len() as u64 + 1);
        opening.log.submit(Write {
            id,
            append: vec![block(last, Term(99), 1, 10)].into(),
            ..Write::default()
        });
        opening.log.mark();
        opening.run()
    }

    /// Whether a segment could not be made ahead, in this life of the log or in one before.
    pub(crate) fn gave_up_a_segment(&self) -> bool {
        self.failed_preparations + self.failed_preparations_now() > 0
    }

    fn failed_preparations_now(&self) -> u64 {
        self.log.as_ref().map_or(0, |opening| opening.log.stats().failed_preparations.get())
    }

    /// Closes the log; what was submitted stays submitted.
    pub(crate) fn close(&mut self) {
        self.log = None;
    }
}

fn summary(state: &State) -> String {
    let HardState { current_term, voted_for, .. } = state.hard_state;
    format!("[term {current_term}, vote {voted_for:?}, {}..{}]", state.base, state.last())
}

fn show(error: impl std::error::Error) -> Violation {
    error.to_string()
}
