//! Who asks the platform's URL: `curl`, at the place of a client on the lab's internet.

use crate::stage::PLATFORM;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// A client with or without a credential.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Header lines that every request of it has.
    headers: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// The URL of a path.
pub fn url(path: &str) -> String {
    format!("https://{}.test{path}", PLATFORM.name)
}

/// The client's address.
pub fn address() -> String {
    address_of("client")
}

/// The address of a place of the lab's internet.
pub fn address_of(place: &str) -> String {
    let addresses = run(place, &["ip", "-4", "-o", "address", "show", "eth0"], "");
    addresses.split_whitespace().find_map(|word| Some(word.split_once('/')?.0.to_owned())).unwrap()
}

/// Runs a program at a place; it must succeed.
#[track_caller]
fn run(place: &str, argv: &[&str], input: &str) -> String {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &format!("bastide-{}-{place}", PLATFORM.name)]).args(argv);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read it has ended, and says why below.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Caller {
    /// Without a credential.
    pub fn nobody() -> Self {
        Self { headers: Vec::new() }
    }

    /// With a token.
    pub fn with_token(token: &str) -> Self {
        Self { headers: vec![format!("authorization: Bearer {token}")] }
    }

    /// A page of the site at `origin`, in a browser with this cookie.
    pub fn in_browser(cookie: &str, origin: &str) -> Self {
        Self { headers: vec![format!("cookie: {cookie}"), format!("origin: {origin}")] }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], Some(body))
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let authority = format!("/var/lib/bastide/labs/{}/certificates/cdn-authority.pem", PLATFORM.name);
        let body = body.map(Value::to_string);
        let mut more = vec!["--request", method];
        if method != "GET" {
            // Also without a body: it tells a program's request from a form's, which needs its page's token.
            more.extend(["--header", "content-type: application/json"]);
        }
        if let Some(body) = &body {
            more.extend(["--data-binary", body]);
        }
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let lines: Vec<String> = self.headers.iter().cloned().chain(lines).collect();
        ask(&url(path), &authority, &more, &lines)
    }
}

/// Asks for a URL whose server `authority` vouches for, with these header lines.
pub fn ask(url: &str, authority: &str, more: &[&str], headers: &[String]) -> Answer {
    let mut argv = vec!["curl", "--silent", "--show-error", "--include", "--max-time", "20"];
    argv.extend(["--noproxy", "*", "--cacert", authority, "--header", "@-"]);
    argv.extend(more);
    argv.push(url);
    Answer::parse(&run("client", &argv, &headers.join("\n")))
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status: u16 = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap();
        if status < 200 {
            return Self::parse(body);
        }
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// Fails unless the status is this.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The first header of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The cookie of this name that it sets, as a browser sends it back.
    #[track_caller]
    pub fn cookie(&self, name: &str) -> String {
        let set = self.headers.iter().filter(|(found, _)| found == "set-cookie");
        let mut pairs = set.filter_map(|(_, value)| value.split(';').next());
        let pair = pairs.find(|pair| pair.split('=').next() == Some(name));
        pair.unwrap_or_else(|| panic!("no cookie {name}: {self:?}")).to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
