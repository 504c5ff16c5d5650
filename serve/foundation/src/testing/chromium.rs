//! A real Chromium, driven by its WebDriver.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::servers::{free_ports, wait_until};

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const PATIENCE: Duration = Duration::from_secs(15);

/// A browser with an empty profile; it ends with this value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    site: &'static str,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a browser of the site at this origin, for which `hosts` (each a name and a port of this machine) are where the
    /// names lead.
    pub async fn start(site: &'static str, hosts: &[(&str, u16)]) -> Self {
        let [port, _] = free_ports();
        let profile = tempfile::tempdir().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("chromedriver to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let rules: Vec<String> =
            hosts.iter().map(|(name, port)| format!("MAP {name} 127.0.0.1:{port}")).collect();
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--host-resolver-rules={}", rules.join(",")),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": arguments},
        }}});
        let mut browser = Self { driver, port, session: String::new(), site, _profile: profile };
        let session = browser.ask("POST", "/session", &wanted).await.expect("a browser");
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// One exchange with the driver; its refusal is an error.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let text = if method == "POST" { body.to_string() } else { String::new() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Body::from(text))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let good = response.status().is_success();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        if good { Ok(answer["value"].clone()) } else { Err(answer["value"].clone()) }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.ask("POST", &path, &body).await.unwrap_or_else(|refusal| panic!("{path}: {refusal:#}"))
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.ask("GET", &path, &Value::Null).await.unwrap_or_else(|refusal| panic!("{path}: {refusal:#}"))
    }

    /// A command of Chromium's own protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// Opens a page of the site.
    pub async fn open(&self, path: &str) {
        self.post("/url", json!({"url": format!("{}{path}", self.site)})).await;
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.post("/refresh", json!({})).await;
    }

    /// Path and query of the page that is shown.
    pub async fn path(&self) -> String {
        let url = self.get("/url").await;
        let url = url.as_str().unwrap();
        url.strip_prefix(self.site).unwrap_or(url).to_owned()
    }

    /// Gives the browser a cookie of the site: the value of a header `Cookie`.
    pub async fn bring(&self, cookie: &str) {
        let (name, value) = cookie.split_once('=').unwrap();
        let parameters = json!({
            "url": self.site, "name": name, "value": value, "path": "/", "secure": true, "httpOnly": true, "sameSite": "Lax"
        });
        let set = self.devtools("Network.setCookie", parameters).await;
        assert_eq!(set["success"], true);
    }

    /// Forgets all cookies.
    pub async fn forget(&self) {
        self.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    /// Shows pages in a window of this width, in this color scheme.
    pub async fn look(&self, width: u32, scheme: &str) {
        let mobile = width < 600;
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}
        ]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// The whole page as it looks, a PNG in base 64.
    pub async fn picture(&self) -> String {
        let whole = json!({"captureBeyondViewport": true, "format": "png"});
        let size =
            self.run("return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]");
        let size = size.await;
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let mut parameters = whole;
        parameters["clip"] = clip;
        self.devtools("Page.captureScreenshot", parameters).await["data"].as_str().unwrap().to_owned()
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// What a script hands to its last argument, a function, later.
    pub async fn run_later(&self, script: &str) -> Value {
        self.post("/execute/async", json!({"script": script, "args": []})).await
    }

    /// The first element that there is, as soon as there is one.
    async fn find(&self, selector: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let path = format!("/session/{}/element", self.session);
        let (using, value) = match selector.strip_prefix("//") {
            Some(_) => ("xpath", selector),
            None => ("css selector", selector),
        };
        loop {
            match self.ask("POST", &path, &json!({"using": using, "value": value})).await {
                Ok(element) => return element[ELEMENT].as_str().unwrap().to_owned(),
                Err(refusal) if tokio::time::Instant::now() > deadline => {
                    panic!(
                        "no {selector} at {}: {}\n{}",
                        self.path().await,
                        refusal["message"],
                        self.source().await
                    )
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Clicks on it; where that leads to another page, that page is loaded afterwards.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Clicks on the button or link that reads so.
    pub async fn press(&self, text: &str) {
        self.click(&format!("//*[self::a or self::button or self::summary][normalize-space()='{text}']"))
            .await;
    }

    /// Asks until it is so.
    pub async fn wait_for(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so().await {
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "{what} at {}: {}", self.path().await, self.source().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Replaces what a field holds, as somebody who types.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/clear"), json!({})).await;
        self.post(&format!("/element/{element}/value"), json!({"text": text})).await;
    }

    /// Types into whatever has the focus; `\u{e004}` is Tab, `\u{e007}` Enter.
    pub async fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        let source = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.post("/actions", source).await;
    }

    /// Waits until this is read in an element.
    pub async fn expect(&self, selector: &str, text: &str) {
        self.wait_for(text, async || self.try_text(selector).await.as_deref() == Some(text)).await;
    }

    /// What is read in an element, unless the page is just being replaced by another.
    async fn try_text(&self, selector: &str) -> Option<String> {
        let path = format!("/session/{}", self.session);
        let wanted = json!({"using": "css selector", "value": selector});
        let element = self.ask("POST", &format!("{path}/element"), &wanted).await.ok()?;
        let path = format!("{path}/element/{}/text", element[ELEMENT].as_str()?);
        self.ask("GET", &path, &Value::Null).await.ok()?.as_str().map(str::to_owned)
    }

    /// What is read in an element.
    pub async fn text(&self, selector: &str) -> String {
        loop {
            let element = self.find(selector).await;
            let path = format!("/session/{}/element/{element}/text", self.session);
            match self.ask("GET", &path, &Value::Null).await {
                Ok(text) => return text.as_str().unwrap().to_owned(),
                // Its page went between the two questions; the next one may have it too.
                Err(refusal) if refusal["error"] == "stale element reference" => {}
                Err(refusal) => panic!("{path}: {refusal:#}"),
            }
        }
    }

    /// What a field holds.
    pub async fn value(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        self.get(&format!("/element/{element}/property/value")).await.as_str().unwrap_or_default().to_owned()
    }

    /// The page's HTML.
    pub async fn source(&self) -> String {
        self.get("/source").await.as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when it is told to end.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.driver),
            rustix::process::Signal::TERM,
        );
        let _ = self.driver.wait();
    }
}
