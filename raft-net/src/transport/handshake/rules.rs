//! Who is let in. One function of what the receiver knows and what the sender says.
//!
//! A sender that knows the receiver's cluster and calls it by its own id is let in even if the receiver's
//! configuration does not list it: that configuration may be old. Consensus decides what counts; votes for
//! candidates that one does not know yet must stay possible.

use raft_core::configuration::Configuration;
use raft_core::types::{ClusterId, NodeId};

use super::{GROUP, Hello, Refusal};

/// What the receiver of a hello knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver<'a> {
    /// Its id.
    pub node_id: NodeId,
    /// Its cluster, if any.
    pub cluster_id: Option<ClusterId>,
    /// Its configuration in force, if any.
    pub configuration: Option<&'a Configuration>,
}

impl Receiver<'_> {
    /// Whether messages of the sender may be delivered.
    pub(crate) fn admit(self, hello: &Hello) -> Result<(), Refusal> {
        if hello.opening.node.id == self.node_id {
            return Err(Refusal::Oneself);
        }
        if let Some(objection) = self.objection(hello) {
            return Err(objection);
        }
        let meant = hello.body.receiver;
        if meant != Some(self.node_id) {
            return Err(Refusal::WrongReceiver { meant });
        }
        match (hello.body.cluster_id, self.cluster_id) {
            (None, None) => Err(Refusal::NoCluster),
            _ => Ok(()),
        }
    }

    /// What speaks against the sender, whatever it calls for. Greetings are answered in spite of it, and told.
    pub(crate) fn objection(self, hello: &Hello) -> Option<Refusal> {
        let (sender, found) = (&hello.opening.node, hello.body.group);
        if found != GROUP {
            return Some(Refusal::UnknownGroup { found });
        }
        let cluster_id = self.cluster_id?;
        match hello.body.cluster_id {
            Some(other) if other != cluster_id => {
                Some(Refusal::WrongCluster { sender: other, receiver: cluster_id })
            }
            Some(_) => None,
            None => {
                let listed = self.configuration.is_some_and(|members| members.member(sender.id).is_some());
                let named = self.configuration.and_then(|members| members.member_named(&sender.name));
                (!listed).then(|| Refusal::Stranger { cluster_id, holder: named.map(|member| member.id) })
            }
        }
    }
}
