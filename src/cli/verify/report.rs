//! What was found, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::checks::{Check, Wants};
use super::sender::Answer;

/// A good answer comes sooner: an attempt has ten seconds in all.
const SOON: Duration = Duration::from_secs(5);

/// What came of a check.
pub(super) struct Finding {
    check: &'static Check,
    answer: Answer,
    /// What is wrong about it, and how to mend that.
    wrong: Option<(String, &'static str)>,
}

impl Finding {
    pub(super) fn new(check: &'static Check, answer: Answer) -> Self {
        let wrong = judge(check, &answer);
        Self { check, answer, wrong }
    }

    pub(super) fn is_right(&self) -> bool {
        self.wrong.is_none()
    }
}

fn judge(check: &'static Check, answer: &Answer) -> Option<(String, &'static str)> {
    let wrong = |what: &str, hint| Some((format!("{}: {what}", check.sends), hint));
    let (status, after) = match answer {
        Answer::Status(status, after) => (*status, *after),
        Answer::Closed if check.wants == Wants::Survived => return None,
        Answer::Closed => return wrong("the connection was closed without an answer", check.hint),
        Answer::Silent => {
            return wrong(
                "no answer within 15 seconds",
                "answer at once, also to what is refused; work on it afterwards",
            );
        }
        Answer::Unreachable(_) => {
            return wrong(
                "the receiver takes no connection any more",
                "what came before this ended it: look into its log",
            );
        }
    };
    if after > SOON {
        let hint =
            "store the event, answer, and work on it afterwards: an attempt ends after 10 seconds in all";
        return wrong("answered, but too late", hint);
    }
    match (check.wants, status) {
        (Wants::Taken, 200..=299) | (Wants::Refused, 400..=499) | (Wants::Survived, 200..=499) => None,
        (Wants::Taken, 300..=399) => {
            wrong("redirected", "redirects are not followed: configure the address that answers")
        }
        (Wants::Taken, 404 | 405) => {
            wrong("there is nothing to post to", "is that the path of the receiver, and does it take POST?")
        }
        (Wants::Taken, _) => wrong("not taken", check.hint),
        (Wants::Refused, 200..=299) => wrong("taken, although anybody could have sent it", check.hint),
        (Wants::Refused, _) => wrong(
            "not refused with 400 to 499",
            "answer 401: a failure of the receiver's own hides that this is not genuine",
        ),
        (Wants::Survived, _) => wrong("it broke the receiver", check.hint),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.check.name;
        match &self.wrong {
            None => write!(f, "ok     {name:<14} {}", self.answer),
            Some((what, hint)) => {
                write!(f, "WRONG  {name:<14} {}\n       {what}\n       hint: {hint}", self.answer)
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, after) => write!(f, "{status} after {} ms", after.as_millis()),
            Self::Closed => f.write_str("connection closed"),
            Self::Silent => f.write_str("no answer"),
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
        }
    }
}

/// How many were as they should be.
pub(super) fn sum(asked: usize, wrong: usize) -> String {
    let unseen = "from outside it does not show whether a repeated event is worked on once, and an older one leaves \
what is known of its number alone: see the receiver's guide";
    format!("{} of {asked} as they should be; {unseen}", asked - wrong)
}

/// Why the command fails.
pub(super) fn verdict(wrong: usize, asked: usize) -> String {
    format!(
        "the receiver handles {wrong} of {asked} wrongly\nhint: mend what is marked WRONG, then verify again"
    )
}

/// All of it, as JSON.
pub(super) fn json(url: &str, findings: &[Finding]) -> Value {
    let checks: Vec<_> = findings.iter().map(check).collect();
    let wrong = findings.iter().filter(|finding| !finding.is_right()).count();
    json!({"url": url, "wrong": wrong, "checks": checks})
}

fn check(finding: &Finding) -> Value {
    let Finding { check, answer, wrong } = finding;
    let wants = match check.wants {
        Wants::Taken => "taken",
        Wants::Refused => "refused",
        Wants::Survived => "survived",
    };
    let mut json = json!({"name": check.name, "sends": check.sends, "wants": wants,
        "answer": answer.to_string(), "ok": wrong.is_none()});
    if let Answer::Status(status, after) = answer {
        json["status"] = (*status).into();
        json["afterMs"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
    }
    if let Some((what, hint)) = wrong {
        json["wrong"] = what.as_str().into();
        json["hint"] = (*hint).into();
    }
    json
}
