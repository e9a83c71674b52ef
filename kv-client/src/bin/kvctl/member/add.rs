//! `member add` and `member replace`: a node that was none becomes a member.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use kv_client::protocol::{MemberChange, MemberRole, MemberStatus, NodeStatus, WishedMember, WishedRole};
use kv_client::{Client, NodeError, Problem};

use super::{Force, Patience, Roster, is_about_to_go, parse_id, tell, wait};
use crate::cli::Global;

/// How long a node that was started just now may take to open its port, and to answer there.
const STARTING: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name that the node was started with
    name: String,
    /// Where other members reach it
    #[arg(long, value_name = "HOST:PORT")]
    peer: String,
    /// Where clients reach it; there it is asked for its id
    #[arg(long, value_name = "HOST:PORT")]
    client: String,
    /// Its id, if it does not run yet
    #[arg(long)]
    id: Option<String>,
    /// Let it learn, and never vote
    #[arg(long, conflicts_with = "voter")]
    learner: bool,
    /// Let it vote at once, without having caught up: until then it answers for nothing that is in the log (has to run)
    #[arg(long)]
    voter: bool,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// Name or id of the member that goes
    #[arg(value_name = "NAME|ID")]
    old: String,
    /// Name that the new node was started with [default: the old one's]
    #[arg(long)]
    name: Option<String>,
    /// Where other members reach it [default: the old one's address]
    #[arg(long, value_name = "HOST:PORT")]
    peer: Option<String>,
    /// Where clients reach it [default: the old one's address]
    #[arg(long, value_name = "HOST:PORT")]
    client: Option<String>,
    /// Its id, if it does not run yet
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    patience: Patience,
}

/// The node is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misfit {
    #[error(
        "the node at {client} says that its {what} is {found}, not {expected}: correct the command line or the node's"
    )]
    Other { client: String, what: &'static str, found: String, expected: String },
    #[error("the node at {client} belongs to cluster {found}, not to {expected}: it cannot be added")]
    OtherCluster { client: String, found: String, expected: String },
    #[error("the node at {client} cannot be asked for its id ({problem}): start it, or give --id")]
    Silent { client: String, problem: Problem },
    #[error(
        "nobody has confirmed that node {id} is at {client} ({problem}), and a voter that never answers costs the \
         cluster its quorum: leave out --voter, and it votes once it has caught up; --force adds it all the same"
    )]
    Unconfirmed { client: String, id: String, problem: Problem },
    #[error(
        "{name} is the name of member {id} already: if its data folder was lost, kvctl member replace {name}"
    )]
    NameTaken { name: String, id: String },
}

pub(crate) async fn add(client: &Client, global: &Global, args: AddArgs) -> Result<()> {
    let roster = Roster::of(client, global).await?;
    let role = match (args.learner, args.voter) {
        (true, _) => WishedRole::Learner,
        (_, true) => WishedRole::Voter,
        _ => WishedRole::Promotable,
    };
    let candidate = Candidate {
        name: args.name,
        peer: args.peer,
        client: args.client,
        id: args.id,
        must_answer: args.voter && !args.force.on,
    };
    let mut wished = candidate.wished(client, &roster, role).await?;
    let id = format!("{:016x}", wished.id);
    if let Some(namesake) = roster.named(&wished.name).filter(|member| member.node_id != id) {
        return Err(Misfit::NameTaken { name: wished.name, id: namesake.node_id.clone() }.into());
    }
    let member = roster.with_id(&id);
    if role == WishedRole::Promotable && member.is_some_and(|member| member.role == MemberRole::Voter) {
        // It is what it was to become.
        wished.role = WishedRole::Voter;
    }
    let (name, mut index) = (wished.name.clone(), None);
    if !member.is_some_and(|member| is_as_wished(member, &wished)) {
        index = client.change_members(vec![MemberChange::Put(wished)], args.force.on).await?;
    }
    match role {
        WishedRole::Learner => {}
        WishedRole::Voter => wait::until_caught_up(client, global, &id, &roster, args.patience.limit).await?,
        WishedRole::Promotable => wait::until_voter(client, global, &id, args.patience.limit).await?,
    }
    tell(global, &name, &id, if role == WishedRole::Learner { "learner" } else { "voter" }, index)
}

/// Whether there is nothing to change: it counts for that, and is known by this name and at these addresses.
fn is_as_wished(member: &MemberStatus, wished: &WishedMember) -> bool {
    let role = match wished.role {
        WishedRole::Voter => MemberRole::Voter,
        WishedRole::Learner => MemberRole::Learner,
        WishedRole::Promotable => MemberRole::Promotable,
    };
    member.role == role
        && member.name == wished.name
        && member.peer_address == wished.peer_address
        && member.client_address == wished.client_address
}

pub(crate) async fn replace(client: &Client, global: &Global, args: ReplaceArgs) -> Result<()> {
    let roster = Roster::of(client, global).await?;
    let limit = args.patience.limit;
    let Newcomer { name, id, role, index } = put_in_place(client, &roster, args).await?;
    match role {
        WishedRole::Promotable => wait::until_voter(client, global, &id, limit).await?,
        _ => wait::until_caught_up(client, global, &id, &roster, limit).await?,
    }
    tell(global, &name, &id, if role == WishedRole::Learner { "learner" } else { "voter" }, index)
}

/// A member that has taken the place of another one.
struct Newcomer {
    name: String,
    id: String,
    role: WishedRole,
    /// Entry of the change, if there was anything to change.
    index: Option<u64>,
}

impl Newcomer {
    /// Of an attempt before this one, which has come to pass or is about to.
    fn found(member: &MemberStatus) -> Self {
        let (name, id) = (member.name.clone(), member.node_id.clone());
        Self { name, id, role: counts_for(member.role), index: None }
    }
}

/// Makes the change, unless it is found made.
async fn put_in_place(client: &Client, roster: &Roster, args: ReplaceArgs) -> Result<Newcomer> {
    let old = match roster.member(&args.old) {
        Ok(old) => old,
        Err(unknown) => {
            let newcomer = args.name.as_ref().and_then(|name| roster.named(name));
            let is_there = |member: &&MemberStatus| args.client.as_ref() == Some(&member.client_address);
            let newcomer = newcomer.filter(is_there).ok_or(unknown)?;
            eprintln!("note: {} is no member, and {} is: nothing was to change", args.old, newcomer.name);
            return Ok(Newcomer::found(newcomer));
        }
    };
    let candidate = Candidate {
        name: args.name.unwrap_or_else(|| old.name.clone()),
        peer: args.peer.unwrap_or_else(|| old.peer_address.clone()),
        client: args.client.unwrap_or_else(|| old.client_address.clone()),
        id: args.id,
        must_answer: false,
    };
    let asked = candidate.client.clone();
    let mut wished = candidate.wished(client, roster, counts_for(old.role)).await?;
    let (name, id) = (wished.name.clone(), format!("{:016x}", wished.id));
    if let Some(newcomer) = roster.with_id(&id) {
        if id == old.node_id || is_about_to_go(old) {
            eprintln!(
                "note: the node at {asked} is member {id}: its data folder is not lost, and nothing was to change"
            );
            return Ok(Newcomer::found(newcomer));
        }
        if newcomer.voter {
            wished.role = WishedRole::Voter;
        }
    }
    let others = roster.named(&name).filter(|member| ![&old.node_id, &id].contains(&&member.node_id));
    if let Some(namesake) = others {
        return Err(Misfit::NameTaken { name, id: namesake.node_id.clone() }.into());
    }
    let role = wished.role;
    let changes = vec![MemberChange::Remove { id: parse_id(&old.node_id)? }, MemberChange::Put(wished)];
    let index = client.change_members(changes, args.force.on).await?;
    Ok(Newcomer { name, id, role, index })
}

/// The role to wish for so that a node counts for what a member does.
const fn counts_for(role: MemberRole) -> WishedRole {
    match role {
        MemberRole::Learner | MemberRole::Demoting | MemberRole::Leaving => WishedRole::Learner,
        MemberRole::Promotable => WishedRole::Promotable,
        MemberRole::Voter | MemberRole::Incoming | MemberRole::Outgoing | MemberRole::Unknown => {
            WishedRole::Voter
        }
    }
}

/// A node that is to become a member, as the command line describes it.
struct Candidate {
    name: String,
    peer: String,
    client: String,
    id: Option<String>,
    /// Whether its word is needed, even if there is an id.
    must_answer: bool,
}

impl Candidate {
    /// The node as it describes itself, which has to agree; if it has an id and does not answer, as it is described.
    async fn wished(self, client: &Client, roster: &Roster, role: WishedRole) -> Result<WishedMember> {
        let (id, newest_version) = match (self.asked(client).await, &self.id) {
            (Ok(status), _) => {
                self.check(&status, roster)?;
                (parse_id(&status.node_id)?, status.newest_version)
            }
            (Err(NodeError { problem: Problem::WrongCluster { found, expected }, .. }), _) => {
                let (found, expected) = (format!("{found:032x}"), format!("{expected:032x}"));
                return Err(Misfit::OtherCluster { client: self.client, found, expected }.into());
            }
            (Err(NodeError { problem, .. }), Some(id)) if self.must_answer => {
                return Err(Misfit::Unconfirmed { client: self.client, id: id.clone(), problem }.into());
            }
            (Err(_silent), Some(id)) => (parse_id(id)?, roster.leader.cluster_version),
            (Err(NodeError { problem, .. }), None) => {
                return Err(Misfit::Silent { client: self.client, problem }.into());
            }
        };
        let Self { name, peer: peer_address, client: client_address, .. } = self;
        Ok(WishedMember { id, name, peer_address, client_address, newest_version, role })
    }

    /// What the node says of itself. One that was started just now gets a moment for that.
    async fn asked(&self, client: &Client) -> Result<NodeStatus, NodeError> {
        let give_up = Instant::now() + STARTING;
        loop {
            match client.status(&self.client).await {
                Err(NodeError { problem: Problem::Unreachable(_) | Problem::ConnectTimeout(_), .. })
                    if self.id.is_none() && Instant::now() < give_up =>
                {
                    tokio::time::sleep(STARTING / 20).await;
                }
                answer => return answer,
            }
        }
    }

    fn check(&self, status: &NodeStatus, roster: &Roster) -> Result<(), Misfit> {
        let client = || self.client.clone();
        if let (Some(found), Some(expected)) = (&status.cluster_id, &roster.leader.cluster_id)
            && found != expected
        {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(Misfit::OtherCluster { client: client(), found, expected });
        }
        let said = [
            ("name", &status.name, Some(&self.name)),
            ("peer address", &status.peer_address, Some(&self.peer)),
            ("client address", &status.client_address, Some(&self.client)),
            ("id", &status.node_id, self.id.as_ref()),
        ];
        let differs = said.into_iter().find_map(|(what, found, expected)| {
            expected.filter(|expected| *expected != found).map(|expected| (what, found, expected))
        });
        let Some((what, found, expected)) = differs else { return Ok(()) };
        let (found, expected) = (found.clone(), expected.clone());
        Err(Misfit::Other { client: client(), what, found, expected })
    }
}
