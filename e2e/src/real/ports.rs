//! Ports on loopback that nobody else takes, also not while the program that listens on one is being restarted.
//!
//! They are outside of the range from which the system picks the near ends of connections, and each is locked by a
//! file: other worlds on this machine see the lock, and it ends with this process.

use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::path::PathBuf;

use super::error::RealError;

/// Below the range that Linux takes near ends from (32768 and up), above what services usually have.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A port that is this world's as long as this value lives.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    /// None where the port was asked for by number.
    _lock: Option<File>,
}

impl Port {
    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

/// Hands out ports.
#[derive(Debug)]
pub(super) struct Ports {
    next: u16,
    /// They were asked for: one that is taken is an error, not a reason to try the next.
    fixed: bool,
    locks: PathBuf,
}

impl Ports {
    /// Ports from `first` on, one after the other; free ones where it is none.
    pub(super) fn new(first: Option<u16>) -> Result<Self, RealError> {
        let user = rustix::process::getuid().as_raw();
        let locks = std::env::temp_dir().join(format!("kaedama-ports-{user}"));
        std::fs::create_dir_all(&locks).map_err(RealError::io(format!("make {}", locks.display())))?;
        // Worlds that start at the same moment begin at different places.
        let spread = u16::try_from(std::process::id() % 300).unwrap_or(0) * 40;
        Ok(Self { next: first.unwrap_or(FIRST + spread % (LAST - FIRST)), fixed: first.is_some(), locks })
    }

    pub(super) fn take(&mut self) -> Result<Port, RealError> {
        if self.fixed {
            let number = self.next;
            self.next = number.saturating_add(1);
            return match TcpListener::bind(("127.0.0.1", number)) {
                Ok(_) => Ok(Port { number, _lock: None }),
                Err(_) => Err(RealError::PortTaken { port: number }),
            };
        }
        for _ in FIRST..=LAST {
            let number = self.next;
            self.next = if number >= LAST { FIRST } else { number + 1 };
            let path = self.locks.join(number.to_string());
            let lock = File::create(&path).map_err(RealError::io(format!("write {}", path.display())))?;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => {
                    return Err(RealError::io(format!("lock {}", path.display()))(error));
                }
                Ok(()) => {}
            }
            if TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Port { number, _lock: Some(lock) });
            }
        }
        Err(RealError::NoPort { from: FIRST, to: LAST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let (mut one, mut other) = (Ports::new(None).unwrap(), Ports::new(None).unwrap());
        let ports: Vec<Port> = (0..20).flat_map(|_| [one.take().unwrap(), other.take().unwrap()]).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 40);
    }

    #[test]
    fn a_port_that_was_asked_for_and_is_taken_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let refused = Ports::new(Some(number)).unwrap().take().unwrap_err();
        assert!(refused.to_string().starts_with(&format!("port {number} on 127.0.0.1 is taken")), "{refused}");
    }
}
