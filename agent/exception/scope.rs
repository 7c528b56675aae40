//! Which exceptions are in use, and which have outlived their use.

use std::collections::BTreeMap;
use std::sync::Arc;

use eql::ast::EventFilter;

use super::Exception;

/// Exceptions in use, each with its condition.
pub type Selected = Vec<(Arc<Exception>, EventFilter)>;

/// Returns the exceptions that are switched on, each with its condition, ready to be joined to rules.
pub fn select(exceptions: impl IntoIterator<Item = Exception>) -> Selected {
    exceptions
        .into_iter()
        .filter(|exception| exception.enabled)
        // What does not compile was refused when the file was read.
        .filter_map(|exception| exception.filter().ok().map(|filter| (Arc::new(exception), filter)))
        .collect()
}

/// Whether an exception is still of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    InUse,
    /// It is switched off.
    Off,
    /// Its time has passed.
    Expired,
    /// It holds, and nothing has met it since the sensor started.
    NeverHit,
}

/// Returns how an exception stands at a time (nanoseconds since 1970); `hits` are those that a running sensor tells, if
/// there is one.
pub fn standing(exception: &Exception, now: i64, hits: Option<&BTreeMap<String, u64>>) -> Standing {
    if !exception.enabled {
        Standing::Off
    } else if exception.expires < now {
        Standing::Expired
    } else if hits.is_some_and(|hits| hits.get(&exception.id).is_none_or(|count| *count == 0)) {
        Standing::NeverHit
    } else {
        Standing::InUse
    }
}
