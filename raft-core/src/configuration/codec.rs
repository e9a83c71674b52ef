//! The layout of a configuration in the log and in snapshots (see the module above).

use super::{Configuration, ConfigurationError, Member, MemberRole};
use crate::types::NodeId;

const LAYOUT_VERSION: u8 = 1;

impl Configuration {
    /// Appends the layout to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(LAYOUT_VERSION);
        out.extend_from_slice(&self.cluster_version.to_le_bytes());
        let count = u16::try_from(self.members.len()).expect("checked by the gateway");
        out.extend_from_slice(&count.to_le_bytes());
        for member in &self.members {
            out.extend_from_slice(&member.id.get().to_le_bytes());
            out.push(member.role as u8);
            out.extend_from_slice(&member.newest_version.to_le_bytes());
            for text in [&member.name, &member.peer_address, &member.client_address] {
                let length = u16::try_from(text.len()).expect("checked by the gateway");
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// The layout alone.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    /// Reads the layout; `bytes` must hold nothing else.
    ///
    /// # Errors
    /// [`ConfigurationError`] says which field is wrong: the bytes are damaged or from a newer program.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConfigurationError> {
        let mut reader = Reader { bytes, at: 0 };
        let version = reader.array::<1>("layout version")?[0];
        if version != LAYOUT_VERSION {
            return Err(field("layout version", u64::from(version)));
        }
        let cluster_version = u32::from_le_bytes(reader.array("cluster version")?);
        let count = u16::from_le_bytes(reader.array("member count")?);
        Self::check_count(usize::from(count))?;
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(reader.member()?);
        }
        if reader.at != bytes.len() {
            return Err(field("length", bytes.len() as u64));
        }
        if let Some(pair) = members.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            return Err(field("member order", pair[1].id.get()));
        }
        Self::new(cluster_version, members)
    }
}

const fn field(field: &'static str, found: u64) -> ConfigurationError {
    ConfigurationError::Field { field, found }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], ConfigurationError> {
        let truncated = ConfigurationError::Truncated { field, found: self.bytes.len() };
        let taken = self.bytes.get(self.at..self.at + length).ok_or(truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ConfigurationError> {
        let taken = self.take(N, field)?;
        Ok(*taken.first_chunk().expect("took N bytes"))
    }

    fn text(&mut self, name: &'static str) -> Result<String, ConfigurationError> {
        let length = u16::from_le_bytes(self.array(name)?);
        let bytes = self.take(usize::from(length), name)?;
        let text = std::str::from_utf8(bytes).map_err(|error| field(name, error.valid_up_to() as u64))?;
        Ok(text.to_owned())
    }

    fn member(&mut self) -> Result<Member, ConfigurationError> {
        let id = u64::from_le_bytes(self.array("member id")?);
        let role = self.array::<1>("member role")?[0];
        Ok(Member {
            id: NodeId::new(id).ok_or_else(|| field("member id", id))?,
            role: role_of(role).ok_or_else(|| field("member role", u64::from(role)))?,
            newest_version: u32::from_le_bytes(self.array("member version")?),
            name: self.text("member name")?,
            peer_address: self.text("peer address")?,
            client_address: self.text("client address")?,
        })
    }
}

const fn role_of(byte: u8) -> Option<MemberRole> {
    match byte {
        0 => Some(MemberRole::Voter),
        1 => Some(MemberRole::Learner),
        2 => Some(MemberRole::Promotable),
        3 => Some(MemberRole::Incoming),
        4 => Some(MemberRole::Outgoing),
        5 => Some(MemberRole::Demoting),
        6 => Some(MemberRole::Leaving),
        _ => None,
    }
}
