//! The names of users and groups.

use std::fmt::Debug;
use std::sync::Arc;

/// Knows what users and groups are called. It is asked for every new image, so it must not wait.
pub trait Accounts: Debug + Send {
    /// Returns the name of a user id, if it is known by now.
    fn user(&mut self, id: u32) -> Option<Arc<str>>;

    /// Returns the name of a group id, if it is known by now.
    fn group(&mut self, id: u32) -> Option<Arc<str>>;
}

/// The two names that every Mac has; all that can be said of a recording's.
#[derive(Debug)]
pub(super) struct SystemAccounts {
    root: Arc<str>,
    wheel: Arc<str>,
}

impl Default for SystemAccounts {
    fn default() -> Self {
        SystemAccounts { root: "root".into(), wheel: "wheel".into() }
    }
}

impl Accounts for SystemAccounts {
    fn user(&mut self, id: u32) -> Option<Arc<str>> {
        (id == 0).then(|| self.root.clone())
    }

    fn group(&mut self, id: u32) -> Option<Arc<str>> {
        (id == 0).then(|| self.wheel.clone())
    }
}
