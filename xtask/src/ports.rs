//! Who listens on a TCP port, from `/proc`.

use std::fmt;
use std::fs;
use std::path::Path;

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// As in `/proc/PID/comm`.
    pub(crate) name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.pid, self.name)
    }
}

/// Whether anybody listens on `port`, and who, if `/proc` lets this user see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Nobody.
    None,
    /// Somebody whose open files this user may not look at.
    Hidden,
    /// This process.
    Known(Holder),
}

/// Looks up the listener of a port, on any address of this machine.
pub(crate) fn listener(port: u16) -> Listener {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, port));
    match inode {
        None => Listener::None,
        Some(inode) => holder(inode).map_or(Listener::Hidden, Listener::Known),
    }
}

/// The socket's inode, from the text of `/proc/net/tcp` or `tcp6`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let listens = u16::from_str_radix(local_port, 16) == Ok(port) && *fields.get(3)? == LISTEN;
        if listens { fields.get(9)?.parse().ok() } else { None }
    })
}

/// The process that has the socket among its open files.
fn holder(inode: u64) -> Option<Holder> {
    let socket = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid| holds(*pid, Path::new(&socket))).map(|pid| Holder { pid, name: name(pid) })
}

fn holds(pid: u32, socket: &Path) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == socket))
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_a_listening_socket_of_that_port_counts() {
        let table =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1BBD 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0
   1: 0100007F:1BBE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0
   2: 0100007F:1BBD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0";
        assert_eq!(listening_inode(table, 7101), Some(13));
        assert_eq!(listening_inode(table, 7102), Some(12));
        assert_eq!(listening_inode(table, 7103), None);
    }

    #[test]
    fn the_listener_of_a_port_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let Listener::Known(holder) = listener(port) else { panic!("this process listens on {port}") };
        assert_eq!(holder.pid, std::process::id());
    }
}
