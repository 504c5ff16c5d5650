//! What the operator's machine and the agent say to each other over one SSH connection.
//!
//! Frames in both directions: one byte of kind, four bytes of length (big endian), the payload. Messages are JSON;
//! a blob's bytes travel in a frame of their own, straight after the message that announces them.

use crate::difference::Difference;
use crate::resource::{Resource, ResourceId};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::time::Duration;

/// How often the operator's machine says that it is still there.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which the agent gives up between two resources and frees its lock.
pub const ABANDONED: Duration = Duration::from_secs(30);
/// Silence after which the agent ends even in the middle of a resource.
pub const ABANDONED_FOR_GOOD: Duration = Duration::from_secs(120);
/// Time in which a guarded change must be confirmed through a fresh connection.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(60);

/// Largest frame that either side accepts: a container image fits, a mistaken length does not.
const LARGEST_FRAME: u32 = 512 * 1024 * 1024;

/// Whether to look or to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Read only.
    Plan,
    /// Make the differences go away.
    Apply,
}

/// From the operator to the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Take the host's lock for `holder`.
    Lock {
        /// Who is at work: user and machine.
        holder: String,
    },
    /// Observe resources in order and, when applying, change those that differ.
    Converge {
        /// Look or change.
        mode: Mode,
        /// The resources, in order.
        resources: Vec<Resource>,
    },
    /// The next frame holds the bytes of the blob that was asked for.
    Blob,
    /// A question for the agent's extension; answered by [`Event::Answer`] of the same number, in any order.
    Call {
        /// Number of the call.
        id: u64,
        /// The question.
        payload: serde_json::Value,
    },
    /// Still here.
    Ping,
}

/// From the agent to the operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// First word of every agent.
    Ready(Greeting),
    /// The lock is held by this connection.
    Locked,
    /// Somebody else holds the lock.
    LockedByOther {
        /// Who, and since when.
        holder: String,
    },
    /// A resource was observed.
    Observed {
        /// Its place in the request.
        index: usize,
        /// What differs.
        difference: Option<Difference>,
    },
    /// A resource is being changed.
    Changing {
        /// Its place in the request.
        index: usize,
    },
    /// A resource was changed and observed again.
    Changed {
        /// Its place in the request.
        index: usize,
        /// Milliseconds that the change took.
        milliseconds: u64,
    },
    /// A resource failed; the later ones were not touched.
    Failed {
        /// Its place in the request.
        index: usize,
        /// Which it was.
        resource: ResourceId,
        /// What was attempted and why it failed.
        error: String,
    },
    /// The bytes of this blob are needed now.
    NeedBlob {
        /// Their SHA-256, hexadecimal.
        sha256: String,
    },
    /// A guarded change is in force and will be reverted unless a fresh connection confirms it.
    ConfirmNeeded {
        /// What the fresh connection must say.
        token: String,
    },
    /// All of a request's resources were dealt with.
    Finished {
        /// Milliseconds on the host.
        milliseconds: u64,
    },
    /// The answer to a call.
    Answer {
        /// Number of the call.
        id: u64,
        /// The answer.
        payload: serde_json::Value,
    },
    /// The agent cannot go on.
    Broken {
        /// Why.
        reason: String,
    },
}

/// What the agent says of its host when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// `ID` of os-release, for example `debian`.
    pub os_id: String,
    /// `VERSION_ID`, for example `13`; Debian testing has none.
    pub os_version: String,
    /// `VERSION_CODENAME`, for example `trixie`.
    pub os_codename: String,
    /// The host's own name.
    pub hostname: String,
    /// Megabytes of memory.
    pub memory_mb: u64,
}

/// One frame.
#[derive(Debug)]
pub enum Frame {
    /// A message, JSON.
    Message(Vec<u8>),
    /// Bytes of a blob.
    Blob(Vec<u8>),
}

const MESSAGE: u8 = b'M';
const BLOB: u8 = b'B';

/// The five bytes before a payload.
pub fn header(frame: &Frame) -> io::Result<[u8; 5]> {
    let (kind, payload) = match frame {
        Frame::Message(payload) => (MESSAGE, payload),
        Frame::Blob(payload) => (BLOB, payload),
    };
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= LARGEST_FRAME);
    let length = length.ok_or_else(|| io::Error::other("a message is too large to send"))?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok([kind, a, b, c, d])
}

/// Length of the payload that `header` announces.
pub fn payload_length(header: [u8; 5]) -> io::Result<usize> {
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    if !matches!(header[0], MESSAGE | BLOB) || length > LARGEST_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the other side does not speak our protocol"));
    }
    Ok(length as usize)
}

/// The frame of a header and its payload.
pub fn frame(header: [u8; 5], payload: Vec<u8>) -> Frame {
    if header[0] == BLOB { Frame::Blob(payload) } else { Frame::Message(payload) }
}

/// Reads one frame; none at the end of the stream.
pub fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0; 5];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut payload = vec![0; payload_length(head)?];
    from.read_exact(&mut payload)?;
    Ok(Some(frame(head, payload)))
}

/// Writes one message and flushes it.
pub fn write<M: Serialize>(to: &mut impl Write, message: &M) -> io::Result<()> {
    let frame = Frame::Message(serde_json::to_vec(message)?);
    to.write_all(&header(&frame)?)?;
    if let Frame::Message(payload) = frame {
        to.write_all(&payload)?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way() {
        let mut wire = Vec::new();
        write(&mut wire, &Request::Lock { holder: "ana@desk".into() }).unwrap();
        let Some(Frame::Message(payload)) = read(&mut wire.as_slice()).unwrap() else { panic!("no message") };
        let Request::Lock { holder } = serde_json::from_slice(&payload).unwrap() else {
            panic!("not a lock")
        };
        assert_eq!(holder, "ana@desk");
    }

    #[test]
    fn a_foreign_banner_is_refused() {
        assert!(read(&mut b"Welcome to Debian".as_slice()).is_err());
    }

    #[test]
    fn a_cut_frame_is_an_error_and_a_clean_end_is_not() {
        let mut wire = Vec::new();
        write(&mut wire, &Request::Ping).unwrap();
        assert!(read(&mut &wire[..wire.len() - 1]).is_err());
        assert!(read(&mut b"".as_slice()).unwrap().is_none());
    }
}
