//! `leader`: who leads.

use std::io;

use anyhow::Result;
use clap::{Args, Subcommand};
use kv_client::Client;
use serde_json::json;

use crate::cli::Global;
use crate::format::{self, Format};
use crate::member::{Roster, parse_id};

#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Let another node lead, without an election's pause
    Move(MoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Name or id of who should lead [default: the voter that lacks the least]
    #[arg(value_name = "NAME|ID")]
    to: Option<String>,
}

pub(crate) async fn leader(client: &Client, global: &Global, command: LeaderCommand) -> Result<()> {
    let LeaderCommand::Move(MoveArgs { to }) = command;
    let roster = Roster::of(client, global).await?;
    let to = match to {
        Some(to) => Some(parse_id(&roster.member(&to)?.node_id)?),
        None => None,
    };
    let leader = format!("{:016x}", client.move_leader(to).await?);
    let name = roster.member(&leader).map_or(leader.as_str(), |member| &member.name);
    match global.output {
        Some(Format::Json) => {
            format::json(&mut io::stdout().lock(), &json!({ "leader_id": leader, "name": name }))
        }
        _ => {
            println!("{name} ({leader}) leads");
            Ok(())
        }
    }
}
