//! Questions: a GET whose answer is read whole, over the same pool, under the
//! same rules and the same one deadline as deliveries.
//!
//! Each URL is judged anew. Judgements of webhooks are kept because they come
//! again and again; a question's URL has a cursor in it that never does.

use std::future::Future;
use std::pin::Pin;

use axum::http::{Method, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{HttpTransport, LONGEST_DEADLINE, compose, failure, judged};
use crate::model::attempt::{Outcome, OutcomeClass};
use crate::policy::address::Refusal;
use crate::transport::{Answer, Inquirer, Inquiry, Unanswered};

impl Inquirer for HttpTransport {
    fn inquire(
        &self,
        inquiry: Inquiry,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Unanswered>> + Send + '_>> {
        Box::pin(self.ask(inquiry))
    }
}

impl HttpTransport {
    async fn ask(&self, inquiry: Inquiry) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + inquiry.deadline.min(LONGEST_DEADLINE);
        let refused = |refusal| Unanswered::from(failure::refused(refusal));
        let target = self.rules().judge_url(&inquiry.url).map_err(refused)?;
        let to = judged::uri(&target.url).ok_or_else(|| refused(Refusal::Malformed))?;
        let message = compose(Method::GET, to, inquiry.headers, Bytes::new());
        let answer = async {
            let response = self.client.request(message).await;
            whole(response.map_err(|error| failure::outcome(&error))?, inquiry.most_bytes).await
        };
        let in_time = timeout_at(deadline, answer).await;
        in_time.unwrap_or_else(|_| Err(lost(OutcomeClass::Timeout, "no whole answer before the deadline")))
    }
}

/// The answer, unless its body is too long or breaks off; then the connection
/// is dropped with it.
async fn whole(response: Response<Incoming>, most_bytes: usize) -> Result<Answer, Unanswered> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| lost(OutcomeClass::Reset, "the connection ended within the answer"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most_bytes {
            return Err(lost(
                OutcomeClass::Protocol,
                &format!("the answer is longer than {most_bytes} bytes"),
            ));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: bytes })
}

fn lost(class: OutcomeClass, note: &str) -> Unanswered {
    Unanswered { class, note: note.to_owned() }
}

impl From<Outcome> for Unanswered {
    fn from(outcome: Outcome) -> Self {
        Self { class: outcome.class, note: outcome.note.unwrap_or_default() }
    }
}
