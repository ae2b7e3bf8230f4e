//! `bellwether verify`: asks a receiver of one's own what it does with deliveries, the good and the bad.
//!
//! Only what can be seen from outside is judged: the answers. Whether a repeated event is worked on once, and
//! whether an older one leaves what is known of a number alone, only the receiver's own tests can tell; here
//! both must be answered with success, for a refusal makes the sender try again. All that is sent is marked as
//! a test (`bellwether-test`), tells of a number that nobody has, and goes nowhere but to the address that
//! the person at the keyboard gave.

mod checks;
mod letter;
mod report;
mod sender;

use std::path::PathBuf;

use axum::http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use self::checks::{CHECKS, Check};
use self::letter::Desk;
use self::report::Finding;
use self::sender::Sender;
use super::{Exit, Failure, runtime, say, tell};
use crate::config;
use crate::env::Env;
use crate::policy::signature::WebhookKey;
use crate::transport::tls;

/// Where the secret is found, if no file is named.
const SECRET: &str = "WEBHOOK_SECRET";

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The receiver's address, as the webhook has it: `http://127.0.0.1:3000/`
    #[arg(value_name = "URL")]
    url: String,
    /// The file with the webhook's signing secret (whsec_...) [default: the variable `WEBHOOK_SECRET`]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with the value of the Authorization header that the webhook is configured with
    #[arg(long, value_name = "FILE")]
    authorization_file: Option<PathBuf>,
    /// A file (PEM) of authorities whose certificates are trusted as well
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let url = address(&arguments.url)?;
    let key = key(arguments)?;
    let env = Env::real();
    let tls = tls::client_config(arguments.ca_file.as_deref(), env.clock.clone());
    let tls = tls.map_err(|error| Failure::new(Exit::Usage, error))?;
    let sender = Sender::new(url.clone(), &tls, authorization(arguments)?)?;
    let findings = runtime()?.block_on(ask(&sender, &Desk::new(key, &env), arguments.json))?;
    let wrong = findings.iter().filter(|finding| !finding.is_right()).count();
    if arguments.json {
        say(report::json(url.as_str(), &findings));
    } else {
        tell(report::sum(findings.len(), wrong));
    }
    if wrong == 0 {
        Ok(())
    } else {
        Err(Failure::new(Exit::Receiver, report::verdict(wrong, findings.len())))
    }
}

/// Makes the checks one after the other. If not even a genuine delivery is taken, nothing is said by what is
/// refused, so that is the end of it.
async fn ask(sender: &Sender, desk: &Desk, json: bool) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for check in CHECKS {
        let finding = one(sender, desk, check, findings.is_empty()).await?;
        if !json {
            say(&finding);
        }
        let ends = findings.is_empty() && !finding.is_right();
        findings.push(finding);
        if ends {
            tell("the other deliveries tell nothing before this one is taken");
            break;
        }
    }
    Ok(findings)
}

/// Sends what a check is made of; what came of it is judged by the first answer that is wrong, else the last.
async fn one(sender: &Sender, desk: &Desk, check: &'static Check, first: bool) -> Result<Finding, Failure> {
    let mut found = None;
    for letter in (check.letters)(desk) {
        let answer = sender.send(letter).await;
        if let (true, sender::Answer::Unreachable(why)) = (first, &answer) {
            let hint = "hint: is the receiver running, and is that its address?";
            return Err(Failure::new(Exit::Server, format!("cannot reach {}: {why}\n{hint}", sender.host())));
        }
        let finding = Finding::new(check, answer);
        let wrong = !finding.is_right();
        found = Some(finding);
        if wrong {
            break;
        }
    }
    Ok(found.expect("every check sends something"))
}

fn address(text: &str) -> Result<Url, Failure> {
    let hint = "hint: give the receiver's address, such as http://127.0.0.1:3000/";
    let refused = |why: &str| Failure::new(Exit::Usage, format!("{text:?} is no address: {why}\n{hint}"));
    let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.username().is_empty() && url.password().is_none() => Ok(url),
        "http" | "https" => Err(refused("no user or password belongs into it")),
        other => Err(refused(&format!("{other} is neither http nor https"))),
    }
}

fn key(arguments: &Arguments) -> Result<WebhookKey, Failure> {
    let (text, place) = if let Some(file) = &arguments.secret_file {
        (read(file)?, file.display().to_string())
    } else if let Some(text) = config::variable(SECRET) {
        (text, SECRET.to_owned())
    } else {
        let hint = format!(
            "hint: set {SECRET}, or give --secret-file FILE; the webhook's owner reads it at GET .../webhooks/{{webhookId}}/secret"
        );
        return Err(Failure::new(Exit::Usage, format!("no signing secret\n{hint}")));
    };
    WebhookKey::parse(text.expose_secret().trim()).ok_or_else(|| {
        let hint = "hint: it is `whsec_` and the base64 of 24 to 64 bytes";
        Failure::new(Exit::Usage, format!("what {place} holds is no signing secret\n{hint}"))
    })
}

fn authorization(arguments: &Arguments) -> Result<Option<HeaderValue>, Failure> {
    let Some(file) = &arguments.authorization_file else { return Ok(None) };
    let mut value = HeaderValue::from_str(read(file)?.expose_secret().trim()).map_err(|_| {
        Failure::new(Exit::Usage, format!("what {} holds can't be a header's value", file.display()))
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn read(file: &std::path::Path) -> Result<SecretString, Failure> {
    let text = std::fs::read_to_string(file);
    text.map(SecretString::from)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display())))
}
