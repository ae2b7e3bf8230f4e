//! A transport that is exchanged while it is used: when the rules change, one
//! that was made under the new ones takes its place. The old one is dropped with
//! its pool of connections, once the attempts that are under way have ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use super::HttpTransport;
use crate::model::attempt::Outcome;
use crate::policy::address::Rules;
use crate::transport::{Request, Transport};

/// The transport that is in use; clones are the same.
#[derive(Clone)]
pub struct Renewed(Arc<RwLock<Arc<HttpTransport>>>);

impl Renewed {
    /// Uses `first`.
    pub fn new(first: HttpTransport) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(first))))
    }

    /// From now on uses `next`.
    pub fn renew(&self, next: HttpTransport) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// The rules that are in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.current().rules()
    }

    fn current(&self) -> Arc<HttpTransport> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Transport for Renewed {
    fn send(&self, request: Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        let current = self.current();
        Box::pin(async move { current.send(request).await })
    }
}
