//! A mail server on the lab's internet: TLS from the first byte, and whoever hands in a letter logs in before.

use super::world::{self, Secure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, BufRead, Write};
use std::sync::{Mutex, PoisonError};

/// Where it listens.
pub const PORT: u16 = 465;
/// Who logs in: as most of them, somebody whose name is an address.
pub const USER: &str = "shop@example.test";
pub const PASSWORD: &str = "a password that only the mail server knows";

/// What was handed in.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    pub from: String,
    pub to: String,
    pub text: String,
}

static RECEIVED: Mutex<Vec<Letter>> = Mutex::new(Vec::new());

/// Takes letters at `address`, the second client's, until the tests end.
pub fn serve(address: &str) {
    world::listen(address, PORT, converse);
}

/// The first letter that was handed in for this address.
pub fn received_for(address: &str) -> Option<Letter> {
    let received = RECEIVED.lock().unwrap_or_else(PoisonError::into_inner);
    received.iter().find(|letter| letter.to == format!("RCPT TO:<{address}>")).cloned()
}

fn converse(stream: &mut Secure) -> io::Result<()> {
    let login = format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{USER}\0{PASSWORD}")));
    let (mut known, mut letter) = (false, Letter::default());
    say(stream, "220 ready")?;
    loop {
        let line = hear(stream)?;
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-world\r\n250 AUTH PLAIN",
            "AUTH" => {
                known = line == login;
                if known { "235 welcome" } else { "535 who are you?" }
            }
            "QUIT" => return say(stream, "221 bye"),
            _ if !known => "530 log in first",
            "MAIL" => {
                letter.from = line;
                "250 well"
            }
            "RCPT" => {
                letter.to = line;
                "250 well"
            }
            "DATA" => {
                say(stream, "354 end with a dot")?;
                // Quoted-printable breaks what is long, such as links.
                letter.text = text(stream)?.replace("=\n", "");
                let mut received = RECEIVED.lock().unwrap_or_else(PoisonError::into_inner);
                received.push(std::mem::take(&mut letter));
                "250 taken"
            }
            _ => "502 not here",
        };
        say(stream, answer)?;
    }
}

fn say(stream: &mut Secure, answer: &str) -> io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{answer}\r\n").as_bytes())?;
    stream.flush()
}

fn hear(stream: &mut Secure) -> io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// Lines until the one with nothing but a dot; one that begins with a dot has another before it.
fn text(stream: &mut Secure) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let line = hear(stream)?;
        if line == "." {
            return Ok(text);
        }
        text += line.strip_prefix('.').unwrap_or(&line);
        text.push('\n');
    }
}
