//! A real Chromium at a client's place on the lab's internet, driven by its WebDriver. It finds sites by the lab's names, and
//! trusts the lab's certificates and no others.

use crate::stage::{PLATFORM, eventually, program};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the driver listens, in the client's network.
const PORT: u16 = 9515;
/// Where the browser is.
const PLACE: &str = "client";

/// Runs the driver in a root that has it, under a layer that goes with it; `$1` is the root.
const START: &str = r#"
scratch=$1/mnt root=$1/mnt/root
mount -t tmpfs -o mode=0755 tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$root"
mount -t overlay -o "lowerdir=$1,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"
cp /etc/hosts "$root/etc/hosts"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/bin:/bin chromedriver --port="$2"
"#;

/// A browser with an empty profile; it ends with this value.
pub struct Browser {
    driver: Child,
    session: String,
}

/// A request that the browser made.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub url: String,
    /// Names and values of what was sent and of what came back, as they went over the network.
    pub sent: Vec<(String, String)>,
    pub received: Vec<(String, String)>,
}

impl Browser {
    pub fn start() -> Self {
        let root = program(&["lab", "servers-root"]).expect(0).stdout;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &namespace()]);
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]);
        command.args(["sh", "-ec", START, "sh", root.trim(), &PORT.to_string()]);
        let driver = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut browser = Self { driver, session: String::new() };
        eventually("chromedriver is ready", 30, || {
            browser.try_ask("GET", "/status", &Value::Null).ok().filter(|status| status["ready"] == true)
        });
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--user-data-dir=/root/profile".to_owned(),
            format!("--ignore-certificate-errors-spki-list={}", trusted()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "acceptInsecureCerts": false,
            "goog:loggingPrefs": {"performance": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// One exchange with the driver; its refusal is an error.
    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let url = format!("http://127.0.0.1:{PORT}{path}");
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &namespace(),
            "curl",
            "--silent",
            "--max-time",
            "60",
            "--noproxy",
            "*",
        ]);
        command.args(["--request", method, &url]);
        if method == "POST" {
            command.args(["--header", "content-type: application/json", "--data-binary", "@-"]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Whoever does not read it has ended, and says so below.
        let _ = child.stdin.take().unwrap().write_all(body.to_string().as_bytes());
        let output = child.wait_with_output().unwrap();
        let mut answer: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| json!(error.to_string()))?;
        let value = answer["value"].take();
        if value["error"].is_string() { Err(value) } else { Ok(value) }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body).unwrap_or_else(|refusal| panic!("{method} {path}: {refusal:#}"))
    }

    fn path(&self, rest: &str) -> String {
        format!("/session/{}{rest}", self.session)
    }

    /// Opens a URL. What loads is another matter.
    pub fn open(&self, url: &str) {
        self.ask("POST", &self.path("/url"), &json!({"url": url}));
    }

    /// Where the browser is.
    pub fn url(&self) -> String {
        self.ask("GET", &self.path("/url"), &Value::Null).as_str().unwrap().to_owned()
    }

    /// The page's HTML.
    pub fn source(&self) -> String {
        self.ask("GET", &self.path("/source"), &Value::Null).as_str().unwrap().to_owned()
    }

    fn find(&self, selector: &str) -> Option<String> {
        let wanted = json!({"using": "css selector", "value": selector});
        let element = self.try_ask("POST", &self.path("/element"), &wanted).ok()?;
        Some(element[ELEMENT].as_str()?.to_owned())
    }

    /// The first element that there is, as soon as there is one.
    #[track_caller]
    fn wait_for(&self, selector: &str) -> String {
        let started = Instant::now();
        loop {
            if let Some(element) = self.find(selector) {
                return element;
            }
            assert!(started.elapsed() < PATIENCE, "no {selector} at {}:\n{}", self.url(), self.source());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether there is such an element on the page, now.
    pub fn shows(&self, selector: &str) -> bool {
        self.find(selector).is_some()
    }

    /// What is read in an element, once there is one.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let started = Instant::now();
        loop {
            let element = self.wait_for(selector);
            // Its page may go between the two questions.
            match self.try_ask("GET", &self.path(&format!("/element/{element}/text")), &Value::Null) {
                Ok(text) => return text.as_str().unwrap().to_owned(),
                Err(refusal) => assert!(started.elapsed() < PATIENCE, "{selector}: {refusal:#}"),
            }
        }
    }

    /// Clicks on it; where that leads to another page, that page is loaded afterwards.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.wait_for(selector);
        self.ask("POST", &self.path(&format!("/element/{element}/click")), &json!({}));
    }

    /// Types into a field.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.wait_for(selector);
        self.ask("POST", &self.path(&format!("/element/{element}/value")), &json!({"text": text}));
    }

    /// Waits until the browser is at a place that begins so.
    #[track_caller]
    pub fn wait_until_at(&self, start: &str) {
        let started = Instant::now();
        while !self.url().starts_with(start) {
            let late = started.elapsed() > PATIENCE;
            assert!(!late, "not at {start} but at {}:\n{}", self.url(), self.source());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The cookies that the present page's site has, with all that is known of them.
    pub fn cookies(&self) -> Vec<Value> {
        self.ask("GET", &self.path("/cookie"), &Value::Null).as_array().unwrap().clone()
    }

    /// Becomes a browser that has been nowhere.
    pub fn forget(&self) {
        let clear = json!({"cmd": "Network.clearBrowserCookies", "params": {}});
        self.ask("POST", &self.path("/goog/cdp/execute"), &clear);
        self.requests();
    }

    /// The requests that were made since this was asked last, in their order, each redirect with its own.
    pub fn requests(&self) -> Vec<Request> {
        let entries = self.ask("POST", &self.path("/se/log"), &json!({"type": "performance"}));
        let events = entries.as_array().unwrap().iter().map(|entry| {
            let mut entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            entry["message"].take()
        });
        collect(events)
    }
}

/// Puts what the browser tells of its network together. Headers as they were on the wire come in events of their own, in the
/// order of the requests that have the same name.
fn collect(events: impl Iterator<Item = Value>) -> Vec<Request> {
    let mut requests: Vec<(String, Request)> = Vec::new();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for event in events {
        let parameters = &event["params"];
        let name = parameters["requestId"].as_str().unwrap_or_default().to_owned();
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let request = &parameters["request"];
                let (method, url) = (text(&request["method"]), text(&request["url"]));
                requests.push((name, Request { method, url, sent: Vec::new(), received: Vec::new() }));
            }
            "Network.requestWillBeSentExtraInfo" => sent.push((name, headers(&parameters["headers"]))),
            "Network.responseReceivedExtraInfo" => received.push((name, headers(&parameters["headers"]))),
            _ => {}
        }
    }
    let take = |from: &mut Vec<(String, Vec<(String, String)>)>, name: &str| {
        let place = from.iter().position(|(of, _)| of == name);
        place.map(|place| from.remove(place).1).unwrap_or_default()
    };
    requests
        .into_iter()
        .map(|(name, request)| {
            let (sent, received) = (take(&mut sent, &name), take(&mut received, &name));
            Request { sent, received, ..request }
        })
        .collect()
}

/// Each value of a header that came several times is a line of its text.
fn headers(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_object().into_iter().flatten();
    let lines = pairs.flat_map(|(name, value)| {
        let values = value.as_str().unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
        values.into_iter().map(|value| (name.to_lowercase(), value))
    });
    lines.collect()
}

impl Request {
    /// Names and values of a header that came back.
    pub fn received<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.received.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

fn namespace() -> String {
    format!("bastide-{}-{PLACE}", PLATFORM.name)
}

/// Fingerprints of the keys whose certificates the browser takes: those of the lab's public sites.
fn trusted() -> String {
    let directory = Path::new("/var/lib/bastide/labs").join(&PLATFORM.name).join("certificates");
    let fingerprint = |name: &str| {
        let pem = std::fs::read(directory.join(name)).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let certificate = pem.parse_x509().unwrap();
        STANDARD.encode(Sha256::digest(certificate.public_key().raw))
    };
    ["cdn.pem", "providers.pem"].map(fingerprint).join(",")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What it started ends with it, with its mounts.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
