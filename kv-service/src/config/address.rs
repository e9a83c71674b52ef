//! Addresses as operators write them: `host:port`, the name looked up when it is used.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `host:port`. Two addresses are the same if their texts are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no address (expected HOST:PORT, as in 127.0.0.1:7101 or [::1]:7101)")]
pub struct AddressError {
    /// The text.
    pub found: String,
}

impl Address {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means "every address of this machine", or a port that the system picks: fit to listen on, not to
    /// connect to.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        let (host, port) = self.0.rsplit_once(':').unwrap_or_default();
        let any = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        any || port == "0"
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || AddressError { found: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        let blank = host.is_empty() || text.contains(char::is_whitespace);
        match port.parse::<u16>() {
            Ok(_) if !bare_v6 && !blank && !port.starts_with('+') => Ok(Self(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}
