//! Headless Chromium over its debugging pipe: JSON messages, each ended by a zero byte.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pipe is expected at descriptors 3 and 4.
const START: &str = r#"exec chromium "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1"#;

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub width: u32,
    pub scheme: &'static str,
    pub has_scripts: bool,
}

impl Default for View {
    fn default() -> Self {
        Self { width: 1200, scheme: "light", has_scripts: true }
    }
}

/// One tab with one page.
pub struct Browser {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<Value>,
    events: Vec<Value>,
    session: Option<String>,
    last_id: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn open(page: &Path, view: View) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", START, "sh", "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let message = serde_json::from_slice(&message.unwrap()).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            stdin,
            messages,
            events: Vec::new(),
            session: None,
            last_id: 0,
            _profile: profile,
        };
        browser.attach();
        browser.look(view);
        browser.navigate(page);
        browser
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = self.call(
            "Target.attachToTarget",
            &json!({ "targetId": target["targetId"], "flatten": true }),
        );
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Sets how the page is shown.
    pub fn look(&mut self, view: View) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": false }),
        );
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": view.scheme }] }),
        );
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": !view.has_scripts }));
    }

    fn navigate(&mut self, page: &Path) {
        let url = format!("file://{}", page.display());
        let started = self.call("Page.navigate", &json!({ "url": url }));
        assert!(started["errorText"].is_null(), "{started}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.receive();
            self.events.push(message);
        }
    }

    fn receive(&self) -> Value {
        self.messages.recv_timeout(PATIENCE).expect("chromium answers; is it installed?")
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut request = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        let sent = self.stdin.write_all(format!("{request}\0").as_bytes());
        sent.expect("chromium runs; is it installed?");
        loop {
            let message = self.receive();
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// What a JavaScript expression gives.
    pub fn eval(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            &json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub fn number(&mut self, expression: &str) -> f64 {
        self.eval(expression).as_f64().unwrap_or_else(|| panic!("{expression}: no number"))
    }

    /// How many elements `selector` finds.
    pub fn count(&mut self, selector: &str) -> usize {
        self.texts(selector).len()
    }

    /// The texts of all elements that `selector` finds.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let found = self.eval(&format!(
            "[...document.querySelectorAll({})].map(element => element.textContent)",
            json!(selector)
        ));
        serde_json::from_value(found).unwrap()
    }

    /// Clicks with the mouse in the middle of the first element that `selector` finds.
    pub fn click(&mut self, selector: &str) {
        let middle = self.eval(&format!(
            "(() => {{ const element = document.querySelector({});
               element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
               const box = element.getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                &json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Every request, and every error or warning of the console.
    pub fn requests_and_faults(&mut self) -> (Vec<String>, Vec<String>) {
        // An answer comes after the events before it.
        self.eval("0");
        let mut requests = Vec::new();
        let mut faults = Vec::new();
        for event in &self.events {
            match event["method"].as_str().unwrap_or("") {
                "Network.requestWillBeSent" => {
                    let url = &event["params"]["request"]["url"];
                    requests.push(url.as_str().unwrap_or("").to_owned());
                }
                "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => {
                    faults.push(event["params"].to_string());
                }
                _ => {}
            }
        }
        (requests, faults)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        let close = json!({ "id": 0, "method": "Browser.close" });
        // A browser that is gone already cannot be told.
        drop(self.stdin.write_all(format!("{close}\0").as_bytes()));
        drop(self.child.wait());
    }
}
