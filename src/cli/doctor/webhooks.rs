//! Each webhook that is to be sent something: whether its receiver can be reached from
//! here, by the server's own rules; and how its last deliveries fared.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use super::{Findings, Verdict};
use crate::cli::output::cell;
use crate::cli::progress::Progress;
use crate::cli::server::Server;
use crate::cli::{Failure, route};
use crate::config::Config;
use crate::env::Env;
use crate::node::process::ways_out;
use crate::transport::http::HttpTransport;
use crate::transport::{Inquirer, Inquiry};

/// Receivers that are asked at once.
const AT_ONCE: usize = 16;

/// For one of them.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn look(server: &Server, config: Option<&Config>, env: &Env, findings: &mut Findings) {
    let webhooks = match all(server).await {
        Ok(webhooks) => webhooks,
        Err(failure) => return findings.failed("webhooks", &failure),
    };
    if webhooks.is_empty() {
        findings.add(
            "webhooks",
            Verdict::Note,
            "none is to be sent anything",
            Some("`bellwether webhooks put URL` makes one"),
        );
        return;
    }
    let way = match config.map(|config| ways_out(config, env)).transpose() {
        Ok(ways) => ways.map(|(to_receivers, _)| Arc::new(to_receivers)),
        Err(error) => return findings.failed("webhooks", &error.into()),
    };
    let (mut under_way, mut waiting) = (JoinSet::new(), webhooks.iter().enumerate());
    let mut told: Vec<Option<Reached>> = webhooks.iter().map(|_| None).collect();
    let mut progress = Progress::new("asking receivers");
    while let Some(way) = &way {
        while under_way.len() < AT_ONCE
            && let Some((at, webhook)) = waiting.next()
        {
            let (way, url) = (Arc::clone(way), text(webhook, "/url"));
            under_way.spawn(async move { (at, reach(&way, url).await) });
        }
        let Some(reached) = under_way.join_next().await else { break };
        if let Ok((at, reached)) = reached {
            told[at] = Some(reached);
        }
        progress.at((told.iter().flatten().count()) as u64, told.len() as u64);
    }
    drop(progress);
    for (webhook, reached) in webhooks.iter().zip(told) {
        judge(webhook, reached, findings);
    }
}

/// What came of asking a receiver: its status, or why there is none.
type Reached = Result<u16, String>;

async fn reach(way: &HttpTransport, url: String) -> Reached {
    let inquiry = Inquiry { url, headers: Vec::new(), most_bytes: 1 << 20, deadline: PATIENCE };
    let answer = way.inquire(inquiry).await;
    answer
        .map(|answer| answer.status)
        .map_err(|unanswered| format!("{}: {}", unanswered.class.as_str(), unanswered.note))
}

fn judge(webhook: &Value, reached: Option<Reached>, findings: &mut Findings) {
    let what = format!("webhook {}", text(webhook, "/webhookId"));
    let url = text(webhook, "/url");
    match reached {
        Some(Err(why)) => {
            let hint = "no delivery gets there either: look at the name, the firewall, the certificate";
            return findings.add(&what, Verdict::Wrong, format!("{url} can't be reached: {why}"), Some(hint));
        }
        Some(Ok(300..=399)) => {
            let hint = "redirects are never followed: configure the final URL";
            return findings.add(&what, Verdict::Note, format!("{url} answers with a redirect"), Some(hint));
        }
        Some(Ok(_)) | None => {}
    }
    let failed = webhook.pointer("/health/lastFailure/startedAt").and_then(Value::as_str);
    let delivered = webhook.pointer("/health/lastDeliveredAt").and_then(Value::as_str);
    // Both are written alike, so the later one is the greater one.
    if failed.is_some_and(|failed| delivered.is_none_or(|delivered| failed > delivered)) {
        let (outcome, status) =
            (text(webhook, "/health/lastFailure/outcome"), text(webhook, "/health/lastFailure/httpStatus"));
        let detail = format!(
            "{url}: the last attempt failed ({outcome} {status}), {} wait",
            text(webhook, "/health/pending")
        );
        let hint = "`bellwether webhooks undelivered` tells what has not arrived, and why";
        return findings.add(&what, Verdict::Wrong, detail, Some(hint));
    }
    let how = if reached.is_some() { "is reached" } else { "fares well, as far as the server knows" };
    findings.ok(&what, format!("{url} {how}"));
}

/// The webhooks of all accounts that the key may see.
async fn all(server: &Server) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for account in server.all("/v1/accounts").await? {
        let path = route::of_account(&text(&account, "/accountId"), &["webhooks"]);
        let webhooks = server.all(&path).await?.into_iter();
        found.extend(webhooks.filter(|webhook| webhook["enabled"] == true && webhook["type"] == "CABM"));
    }
    Ok(found)
}

fn text(value: &Value, at: &str) -> String {
    cell(value.pointer(at))
}
