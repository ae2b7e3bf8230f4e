//! A Chromium without a screen, driven over the `WebDriver` protocol: the few calls
//! that are needed, as JSON over HTTP.
//!
//! What a test does, it does as a person would: by labels and by the words on buttons,
//! with real clicks and keys. What it waits for, it waits for with a deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::process::running::PATIENCE;
use crate::sim::world::tempdir::TempDir;

/// How the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A fresh profile, nothing that talks to anybody else, no sandbox since tests run as root.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Elements that are shown and of that name: their text, or the label they have.
const NAMED: &str = "
    const [selector, name] = arguments;
    const shown = (element) => element.checkVisibility();
    const names = (element) => [element.textContent.trim(), element.getAttribute('aria-label')];
    const all = [...document.querySelectorAll(selector)].filter(shown);
    const dialog = document.querySelector('dialog[open]');
    const within = dialog ? all.filter((element) => dialog.contains(element)) : all;
    return within.find((element) => names(element).includes(name)) ?? null;";

/// The input that has that label.
const LABELLED: &str = "
    const shown = [...document.querySelectorAll('label')].filter((label) => label.checkVisibility());
    return shown.find((label) => label.textContent.trim() === arguments[0])?.control ?? null;";

/// The option of that text, of the select that has that label.
const OPTION: &str = "
    const label = [...document.querySelectorAll('label')].find((label) => label.textContent.trim() === arguments[0]);
    return [...label?.control?.options ?? []].find((option) => option.textContent.trim() === arguments[1]) ?? null;";

/// A browser; closed when dropped.
pub(super) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    client: Client<HttpConnector, Body>,
    /// Kept until the end.
    profile: TempDir,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let (driver, port) = start_driver();
        let profile = TempDir::new();
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let mut this = Self { driver, port, session: String::new(), client, profile };
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", this.profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let begun = this.ask(Method::POST, "/session", wanted).await;
        this.session = format!("/session/{}", begun["sessionId"].as_str().unwrap());
        this.looks_like(1280, "light").await;
        this
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        self.asked(method, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn asked(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let text = if method == Method::GET { String::new() } else { body.to_string() };
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        let request = Request::builder().method(method).uri(uri).body(Body::from(text)).unwrap();
        let answer = timeout(2 * PATIENCE, self.client.request(request)).await.map_err(|_| "no answer")?;
        let bytes = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        match answer["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, &format!("{}{path}", self.session), body).await
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.command("/goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    pub(super) async fn open(&self, url: &str) {
        self.command("/url", json!({"url": url})).await;
    }

    /// Goes elsewhere within the page.
    pub(super) async fn go(&self, hash: &str) {
        self.run("location.hash = arguments[0]", json!([hash])).await;
    }

    /// What a script returns.
    pub(super) async fn run(&self, script: &str, arguments: Value) -> Value {
        self.command("/execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// What a script hands to the function that is its last argument.
    pub(super) async fn run_to_the_end(&self, script: &str) -> Value {
        self.command("/execute/async", json!({"script": script, "args": []})).await
    }

    /// A window of that width, to somebody who prefers that scheme.
    pub(super) async fn looks_like(&self, width: u32, scheme: &str) {
        let height = if width < 500 { 844 } else { 900 };
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// To somebody in that time zone.
    pub(super) async fn is_in(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": zone})).await;
    }

    /// Waits until `script` returns something that is true, and returns it.
    pub(super) async fn until(&self, what: &str, script: &str, arguments: Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.run(script, arguments.clone()).await;
            if !matches!(found, Value::Null | Value::Bool(false)) {
                return found;
            }
            if Instant::now() > deadline {
                let page = self.run("return document.body.innerText", json!([])).await;
                panic!("{what} is not there; the page says:\n{}", page.as_str().unwrap_or_default());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page shows that text.
    pub(super) async fn sees(&self, text: &str) {
        self.until(text, "return document.body.innerText.includes(arguments[0])", json!([text])).await;
    }

    /// Waits until the row that `row` is part of shows that text, too.
    pub(super) async fn sees_in_row(&self, row: &str, text: &str) {
        let script = "
            const rows = [...document.querySelectorAll('tbody tr')].map((row) => row.innerText);
            return rows.some((row) => row.includes(arguments[0]) && row.includes(arguments[1]));";
        self.until(&format!("{text} beside {row}"), script, json!([row, text])).await;
    }

    /// Clicks what is of that kind and has that name, once it is there.
    pub(super) async fn click(&self, selector: &str, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.until(&format!("{selector} “{name}”"), NAMED, json!([selector, name])).await;
            let path = format!("{}/element/{}/click", self.session, found[ELEMENT].as_str().unwrap());
            // It may have been drawn anew meanwhile.
            match self.asked(Method::POST, &path, json!({})).await {
                Ok(_) => return,
                Err(error) => assert!(Instant::now() < deadline, "{name}: {error}"),
            }
        }
    }

    /// Types into the input with that label, in place of what is there.
    pub(super) async fn fill(&self, label: &str, text: &str) {
        let found = self.until(&format!("input “{label}”"), LABELLED, json!([label])).await;
        let path = format!("/element/{}", found[ELEMENT].as_str().unwrap());
        self.command(&format!("{path}/clear"), json!({})).await;
        self.command(&format!("{path}/value"), json!({"text": text})).await;
    }

    /// Chooses that option of the select with that label.
    pub(super) async fn choose(&self, label: &str, option: &str) {
        let found =
            self.until(&format!("option “{option}” of “{label}”"), OPTION, json!([label, option])).await;
        let path = format!("/element/{}/click", found[ELEMENT].as_str().unwrap());
        self.command(&path, json!({})).await;
    }

    /// Presses keys where the focus is.
    pub(super) async fn press(&self, keys: &str) {
        let down_and_up =
            |key: char| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<Value> = keys.chars().flat_map(down_and_up).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.command("/actions", json!({"actions": [keyboard]})).await;
    }

    /// What the browser has complained of: errors of scripts, of the page's policy, of
    /// what could not be loaded; without `but`.
    pub(super) async fn complaints(&self, but: &[&str]) -> Vec<String> {
        let logged = self.command("/se/log", json!({"type": "browser"})).await;
        let messages = logged.as_array().unwrap().iter();
        let severe = messages.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        let texts = severe.map(|entry| entry["message"].as_str().unwrap().to_owned());
        texts.filter(|text| !but.iter().any(|known| text.contains(known))).collect()
    }

    /// What the window shows, as PNG.
    pub(super) async fn screenshot(&self) -> Vec<u8> {
        let taken = self.devtools("Page.captureScreenshot", json!({})).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; what is left of both is ended as one group.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let head =
                format!("DELETE {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", self.session);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.read(&mut [0; 64]));
        }
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.driver.wait();
    }
}

/// Starts the driver on a free port, which it says.
fn start_driver() -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command
        .args(["--port=0", "--log-level=SEVERE"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    let mut driver = command.spawn().expect("chromedriver is installed: ./test does so");
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = tokio::task::block_in_place(|| {
        lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
    });
    (driver, port.expect("the driver says its port"))
}
