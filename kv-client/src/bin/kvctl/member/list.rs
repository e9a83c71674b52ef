//! `member list`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use kv_client::Client;
use kv_client::protocol::{MemberRole, MemberStatus, NodeStatus, Role};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::exit::Kind;
use crate::format::{self, Format};
use crate::status;

const HEADER: [&str; 9] = ["NAME", "ID", "ROLE", "CLIENT", "PEER", "MATCH", "LAG", "HEARD", "VERSION"];

/// The members as the leader knows them; if nobody leads, as whoever knows the latest term does.
pub(crate) async fn list(client: &Client, global: &Global) -> Result<ExitCode> {
    let asked = status::ask_all(client, &global.endpoints).await;
    let statuses = asked.into_iter().filter_map(|node| node.status.ok());
    let best = statuses
        .filter(|status| !status.members.is_empty())
        .max_by_key(|status| (status.role == Role::Leader, status.term, status.log.last_index));
    let Some(mut best) = best else {
        eprintln!("error: no node that knows the members answers");
        return Ok(Kind::Unavailable.into());
    };
    best.members.sort_by(|a, b| (&a.name, &a.node_id).cmp(&(&b.name, &b.node_id)));
    let mut out = io::stdout().lock();
    match global.output {
        Some(Format::Json) => format::json(&mut out, &document(&best))?,
        _ => {
            writeln!(
                out,
                "{}",
                format::table(HEADER, best.members.iter().map(|member| cells(&best, member)))
            )?;
            writeln!(
                out,
                "cluster version {}, term {}, as {} sees it",
                best.cluster_version, best.term, best.name
            )?;
        }
    }
    for liar in best.members.iter().filter(|member| member.lost_acknowledged) {
        eprintln!(
            "ALARM: {} denies having what it had acknowledged: its disk lied, or its folder is an old copy; empty it, and \
             kvctl member replace {}",
            liar.name, liar.name
        );
    }
    if best.role == Role::Leader {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: no leader: {} may not know the newest changes", best.name);
    Ok(Kind::Unavailable.into())
}

fn document(best: &NodeStatus) -> Value {
    json!({
        "cluster_id": best.cluster_id,
        "cluster_version": best.cluster_version,
        "term": best.term,
        "leader_id": best.leader_id,
        "told_by": best.node_id,
        "commit_index": best.log.commit_index,
        "members": best.members,
    })
}

fn cells(best: &NodeStatus, member: &MemberStatus) -> [String; 9] {
    let leads = best.leader_id.as_ref() == Some(&member.node_id);
    let told = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let heard = member.silent_ms.map_or_else(|| "-".to_owned(), |silent| format!("{silent} ms ago"));
    [
        member.name.clone(),
        member.node_id.clone(),
        role(member.role, leads).to_owned(),
        member.client_address.clone(),
        member.peer_address.clone(),
        told(member.match_index),
        told(member.lag),
        heard,
        member.newest_version.to_string(),
    ]
}

const fn role(role: MemberRole, leads: bool) -> &'static str {
    match role {
        _ if leads => "LEADER",
        MemberRole::Voter => "voter",
        MemberRole::Learner => "learner",
        MemberRole::Promotable => "learner, will vote",
        MemberRole::Incoming => "joining voter",
        MemberRole::Outgoing => "leaving voter",
        MemberRole::Demoting => "voter, will learn",
        MemberRole::Leaving => "leaving learner",
        MemberRole::Unknown => "unknown",
    }
}
