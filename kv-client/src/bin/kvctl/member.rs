//! `member`: who belongs to the cluster, and changes of that.
//!
//! The leader decides, and each change is one entry of the log (or two, joint consensus): it comes to pass for all, or not
//! at all. What is done here besides is asking the new node who it is, and waiting until it has caught up.

mod add;
mod list;
mod roster;
mod wait;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use kv_client::Client;
use kv_client::protocol::{MemberChange, MemberRole, WishedRole};
use serde_json::json;

use crate::cli::Global;
use crate::format::{self, Format};

pub(crate) use roster::{NoLeader, NoSuchMember, Roster, is_about_to_go, parse_id};
pub(crate) use wait::NotFinished;

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Show the members, and how far each has got
    List,
    /// Add a node that runs with an empty data folder, or was removed before
    ///
    /// It comes in as a learner, which costs the cluster nothing, and becomes a voter by itself once it has caught up.
    /// Of a member that was started with other addresses, the cluster learns them.
    Add(add::AddArgs),
    /// Remove a member; the node itself runs on, and may be stopped
    Remove(RemoveArgs),
    /// Make a learner a voter, as soon as it has caught up
    Promote(PromoteArgs),
    /// Put a node in the place of a member in one change, after the member's data folder was lost, say
    ///
    /// It counts for what the member did: a voter takes a voter's place, a learner a learner's. Repeated, it waits until the
    /// node has caught up.
    Replace(add::ReplaceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Name or id
    #[arg(value_name = "NAME|ID")]
    member: String,
    #[command(flatten)]
    force: Force,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Name or id
    #[arg(value_name = "NAME|ID")]
    member: String,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct Force {
    /// Even if too few of the voters there would be can be reached
    ///
    /// The change, and every write, then waits until enough of them answer. There is no way back meanwhile: another change
    /// would wait behind this one. If they never answer, what is left is kvd recover, which loses data.
    #[arg(long = "force")]
    on: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Patience {
    /// How long to wait until the node has caught up (30s, 5m); the cluster goes on when kvctl does not wait any more
    #[arg(long = "wait", value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    limit: Duration,
}

pub(crate) async fn member(client: &Client, global: &Global, command: MemberCommand) -> Result<ExitCode> {
    match command {
        MemberCommand::List => return list::list(client, global).await,
        MemberCommand::Add(args) => add::add(client, global, args).await?,
        MemberCommand::Remove(args) => remove(client, global, args).await?,
        MemberCommand::Promote(args) => promote(client, global, args).await?,
        MemberCommand::Replace(args) => add::replace(client, global, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(client: &Client, global: &Global, args: RemoveArgs) -> Result<()> {
    let roster = Roster::of(client, global).await?;
    let member = roster.member(&args.member)?;
    let remove = MemberChange::Remove { id: parse_id(&member.node_id)? };
    let index = client.change_members(vec![remove], args.force.on).await?;
    tell(global, &member.name, &member.node_id, "removed", index)
}

async fn promote(client: &Client, global: &Global, args: PromoteArgs) -> Result<()> {
    let roster = Roster::of(client, global).await?;
    let member = roster.member(&args.member)?;
    let mut index = None;
    if member.role == MemberRole::Learner {
        let put = MemberChange::Put(roster::as_wished(member, WishedRole::Promotable)?);
        index = client.change_members(vec![put], false).await?;
    }
    wait::until_voter(client, global, &member.node_id, args.patience.limit).await?;
    tell(global, &member.name, &member.node_id, "voter", index)
}

/// Says what a member is now, and by which entry, if it is known or there was anything to do.
fn tell(global: &Global, name: &str, id: &str, now: &str, index: Option<u64>) -> Result<()> {
    match global.output {
        Some(Format::Json) => {
            let document = json!({ "name": name, "node_id": id, "now": now, "index": index });
            format::json(&mut io::stdout().lock(), &document)
        }
        _ => {
            let what = match now {
                "removed" => "is no member any more".to_owned(),
                role => format!("is a {role}"),
            };
            let entry = index.map_or_else(String::new, |index| format!(", since entry {index}"));
            println!("{name} ({id}) {what}{entry}");
            Ok(())
        }
    }
}
