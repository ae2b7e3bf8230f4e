//! `bellwether doctor`: everything that a server needs, looked at one by one, and what
//! to do about what is not well. On the server's own machine it looks at configuration,
//! key, store, disk and the ways out, too; from elsewhere at what the API tells.
//!
//! It changes nothing and sends no event: a receiver is asked (GET), not told.

mod local;
mod remote;
mod webhooks;

use serde_json::{Value, json};

use super::access::Access;
use super::output::{Output, clean, print};
use super::{ConfigFile, Exit, Failure, dev_config, runtime};
use crate::config::Config;
use crate::env::Env;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Where Meta reaches the server, `https://hooks.example.com`: the handshake is tried there
    /// [default: the server itself]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Well enough, but likely not meant so.
    Note,
    Wrong,
}

/// What was looked at, and how it stands.
#[derive(Debug)]
struct Finding {
    what: String,
    verdict: Verdict,
    detail: String,
    hint: Option<String>,
}

/// All that was found, in the order in which it was looked at.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, what: &str, verdict: Verdict, detail: impl Into<String>, hint: Option<&str>) {
        let (what, hint) = (what.to_owned(), hint.map(str::to_owned));
        self.0.push(Finding { what, verdict, detail: detail.into(), hint });
    }

    fn ok(&mut self, what: &str, detail: impl Into<String>) {
        self.add(what, Verdict::Ok, detail, None);
    }

    /// What kept a look from succeeding; its hint stands in its message.
    fn failed(&mut self, what: &str, failure: &Failure) {
        let (detail, hint) = match failure.message.split_once("\nhint: ") {
            Some((detail, hint)) => (detail, Some(hint)),
            None => (failure.message.as_str(), None),
        };
        self.add(what, Verdict::Wrong, detail.replace('\n', "; "), hint);
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let findings = runtime()?.block_on(look(arguments))?;
    show(&findings, arguments.access.output())?;
    let wrong = findings.0.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Unwell, "one thing is not well")),
        many => Err(Failure::new(Exit::Unwell, format!("{many} things are not well"))),
    }
}

async fn look(arguments: &Arguments) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let file = arguments.file.path().map(ToOwned::to_owned);
    let file = file.or_else(|| Some(dev_config()).filter(|file| file.exists()));
    let mut config = None;
    if let Some(file) = &file {
        match Config::load(Some(file)) {
            Ok(read) => config = Some(read),
            Err(wrong) => {
                for problem in wrong.problems {
                    findings.add("configuration", Verdict::Wrong, problem.what, Some(&problem.hint));
                }
                // All else would be looked at with something that is not meant.
                return Ok(findings);
            }
        }
    }
    let env = Env::real();
    if let Some(config) = &config {
        local::look(file.as_deref(), config, &mut findings);
        local::ask_meta(config, &env, &mut findings).await;
    }
    let server = arguments.access.open_or(config.as_ref(), arguments.file.path().is_some())?;
    if remote::look(&server, &env, &mut findings).await {
        if let Some(config) = &config {
            let at = arguments.public_url.as_deref();
            remote::shake_hands(&server, config, at, &mut findings).await?;
        }
        webhooks::look(&server, config.as_ref(), &env, &mut findings).await;
    }
    Ok(findings)
}

fn show(findings: &Findings, out: Output) -> Result<(), Failure> {
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Note => "note",
        Verdict::Wrong => "wrong",
    };
    if out.json {
        let checks: Vec<Value> = findings
            .0
            .iter()
            .map(|Finding { what, verdict, detail, hint }| {
                json!({"check": what, "verdict": word(*verdict), "detail": detail, "hint": hint})
            })
            .collect();
        return print(json!({"checks": checks}));
    }
    let width = findings.0.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
    for Finding { what, verdict, detail, hint } in &findings.0 {
        let verdict = word(*verdict);
        let room = " ".repeat(5 - verdict.len());
        print(format_args!("{}{room}  {what:width$}  {}", out.coloured(verdict), clean(detail)))?;
        if let Some(hint) = hint {
            print(format_args!("{:5}  {:width$}  hint: {}", "", "", clean(hint)))?;
        }
    }
    Ok(())
}
