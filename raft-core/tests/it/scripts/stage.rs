//! The nodes of a script, and what has been shown of them.

use raft_core::{Effect, Message, Options, RoleName};

use super::command::{Command, Deed, Route};
use super::show;
use crate::support::{Disk, ELECTION_TIMEOUT, HEARTBEAT, Network, options, voters};

/// Heartbeats after which a cluster that still changes will never settle.
const MOST_HEARTBEATS: usize = 50;

/// See the module.
pub(super) struct Stage {
    net: Network,
    /// How each node was shown last: its standing, and the members it goes by.
    shown: Vec<(String, String)>,
    lines: Vec<String>,
    quiet: bool,
}

/// Carries out one command; the lines it gives rise to.
pub(super) fn perform(stage: &mut Option<Stage>, command: Command) -> Result<Vec<String>, String> {
    match (command, stage) {
        (Command::Nodes { logs, spare }, stage) => *stage = Some(Stage::new(&logs, spare)),
        (_, None) => return Err("no nodes yet".to_owned()),
        (command, Some(stage)) => {
            stage.perform(command)?;
            return Ok(std::mem::take(&mut stage.lines));
        }
    }
    Ok(Vec::new())
}

fn links(from: &[u64], to: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    from.iter().flat_map(move |&from| to.iter().map(move |&to| (from, to)))
}

impl Stage {
    fn new(logs: &[Vec<u64>], spare: u64) -> Self {
        let configuration = voters(1..=logs.len() as u64);
        let members = logs.iter().map(|log| Disk::with_log(&configuration, log));
        let mut net = Network::with_disks(&options(), members.chain((0..spare).map(|_| Disk::blank())));
        for number in net.numbers().skip(logs.len()) {
            net.node(number).step(raft_core::Input::Greeted(configuration.cluster_id()));
        }
        let shown = net.numbers().map(|_| Default::default()).collect();
        Self { net, shown, lines: Vec::new(), quiet: false }
    }

    /// A line for each node that is not as it was shown last.
    pub(super) fn changes(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, shown) in self.net.numbers().zip(&mut self.shown) {
            let now = match self.net.is_down(number) {
                true => ("down".to_owned(), shown.1.clone()),
                false => show::standing(self.net.node(number)),
            };
            if now != *shown {
                let members = if now.1 == shown.1 { String::new() } else { format!(", {}", now.1) };
                lines.push(format!("node {number}: {}{members}", now.0));
                *shown = now;
            }
        }
        lines
    }

    fn perform(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Quietly(command) => {
                self.quiet = true;
                let done = self.perform(*command);
                self.quiet = false;
                return done;
            }
            Command::Nodes { .. } => return Err("there are nodes already".to_owned()),
            Command::OneEntryAMessage => self.one_entry_a_message(),
            Command::Node { number, deed } => {
                self.up(number)?;
                self.act(number, deed)?;
            }
            Command::Crash(number) => {
                self.up(number)?;
                self.net.crash(number);
            }
            Command::Restart(number) => {
                self.known(number)?;
                self.net.restart(number);
            }
            Command::TimePasses => self.net.time_passes(ELECTION_TIMEOUT),
            Command::Deliver(Route::Everything) => self.deliver_everything(),
            Command::Lose(Route::Everything) => self.net.lose_messages(),
            Command::Deliver(Route::Links { from, to, only_first }) => {
                links(&from, &to).try_for_each(|(from, to)| self.deliver(from, to, only_first))?;
            }
            Command::Lose(Route::Links { from, to, only_first }) => {
                links(&from, &to).try_for_each(|(from, to)| self.take(from, to, only_first).map(drop))?;
            }
            Command::Cut { from, to } => self.net.cut(from, to),
            Command::Isolate(number) => self.net.isolate(number),
            Command::Heal => self.net.heal(),
            Command::Settle(leader) => {
                self.quiet = true;
                let done = self.settle(leader);
                self.quiet = false;
                return done;
            }
        }
        self.watch();
        Ok(())
    }

    fn known(&self, number: u64) -> Result<(), String> {
        let known = self.net.numbers().contains(&number);
        known.then_some(()).ok_or_else(|| format!("there is no node {number}"))
    }

    fn up(&self, number: u64) -> Result<(), String> {
        self.known(number)?;
        let up = !self.net.is_down(number);
        up.then_some(()).ok_or_else(|| format!("node {number} is down"))
    }

    fn one_entry_a_message(&mut self) {
        for number in self.net.numbers() {
            self.net.node(number).runs_with(Options { max_message_bytes: 1, ..options() });
        }
    }

    fn act(&mut self, number: u64, deed: Deed) -> Result<(), String> {
        let node = self.net.node(number);
        let leads = node.role() == RoleName::Leader;
        // How it ends is seen from the effects.
        match deed {
            Deed::TimesOut | Deed::Heartbeats if leads != (deed == Deed::Heartbeats) => {
                return Err(format!("node {number} is {}", node.role()));
            }
            Deed::TimesOut | Deed::Heartbeats => node.timer_fires(),
            Deed::Proposes(commands) => {
                let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
                let _seen_as_an_effect = node.proposes_all(&commands);
            }
            Deed::IsAskedToRead => {
                node.is_asked_to_read();
            }
            Deed::HandsOver(to) => {
                let _seen_as_an_effect = node.hands_over_to(to);
            }
            Deed::Changes(changes) => {
                let _seen_as_an_effect = node.changes_members(&changes);
            }
            Deed::TakesSnapshot => node.takes_snapshot(),
            Deed::SendsSnapshot(to) => self.net.transfer_snapshot(number, to),
            Deed::DiskStalls => node.disk_stalls(),
            Deed::DiskWrites => node.disk_completes_one(),
            Deed::DiskRecovers => node.disk_recovers(),
            Deed::EntryRots(index) => {
                let rots = node.disk.log.damage(raft_core::LogIndex(index));
                return rots.then_some(()).ok_or_else(|| format!("entry {index} is not on its disk"));
            }
        }
        Ok(())
    }

    fn deliver(&mut self, from: u64, to: u64, only_first: bool) -> Result<(), String> {
        self.up(to)?;
        for message in self.take(from, to, only_first)? {
            self.net.node(to).receives(from, message);
            self.watch();
        }
        Ok(())
    }

    /// What is on its way from one node to another, of which there must be something.
    fn take(&mut self, from: u64, to: u64, only_first: bool) -> Result<Vec<Message>, String> {
        self.known(from)?;
        let mut messages = self.net.node(from).sent_to(to);
        if messages.is_empty() {
            return Err(format!("node {from} has nothing to say to node {to}"));
        }
        if only_first {
            let rest = messages.split_off(1);
            self.net.node(from).puts_back(rest.into_iter().map(|message| (to, message)).collect());
        }
        Ok(messages)
    }

    fn deliver_everything(&mut self) {
        while self.net.deliver_one() {
            self.watch();
        }
    }

    fn settle(&mut self, leader: u64) -> Result<(), String> {
        self.up(leader)?;
        self.deliver_everything();
        for _ in 0..MOST_HEARTBEATS {
            let before = self.picture();
            self.net.time_passes(HEARTBEAT);
            if self.net.node(leader).role() != RoleName::Leader {
                return Ok(());
            }
            self.net.node(leader).heartbeats();
            self.deliver_everything();
            if self.picture() == before {
                return Ok(());
            }
        }
        Err("it never settles".to_owned())
    }

    fn picture(&mut self) -> Vec<(String, String)> {
        self.net.numbers().map(|number| show::standing(self.net.node(number))).collect()
    }

    /// Notes down what the nodes did since the last look. What one says to several in one breath is one line.
    fn watch(&mut self) {
        for number in self.net.numbers() {
            let effects = self.net.node(number).effects();
            let lines = self.describe(number, &effects);
            self.lines.extend(lines);
        }
    }

    fn describe(&self, number: u64, effects: &[Effect]) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut said: Vec<(String, Vec<u64>, usize)> = Vec::new();
        for effect in effects {
            if let Some(line) = show::deed(number, effect) {
                lines.push(line);
            }
            let Some((to, text)) = show::message(effect).filter(|_| !self.quiet) else { continue };
            match said.iter_mut().find(|(earlier, ..)| *earlier == text) {
                Some((_, receivers, _)) => receivers.push(to),
                None => {
                    said.push((text, vec![to], lines.len()));
                    lines.push(String::new());
                }
            }
        }
        for (text, receivers, line) in said {
            let receivers: Vec<_> = receivers.iter().map(u64::to_string).collect();
            lines[line] = format!("{number} → {} {text}", receivers.join(", "));
        }
        lines
    }
}
