//! Why a rule did or did not fire on a recording: `vedette rules explain`.
//!
//! The recording goes through the same normaliser as in a [replay](crate::replay), and to an engine with the rule's query
//! in several forms (`variants`); `watch` sees from what they find how far the rule came, and what kept it. Memory is
//! bounded, however long the recording is: of a partial, of a term's closest events and of matches only so many are kept,
//! as text.

mod describe;
pub mod report;
mod variants;
mod watch;

use std::ops::ControlFlow;
use std::sync::Arc;

use eql::Diagnostic;

use self::report::{Excepted, Explanation, RuleName};
use self::variants::Variants;
use self::watch::Watch;
use crate::exception::{self, Exception};
use crate::replay::{Options, Recorded, recording};
use crate::rule::Rule;
use crate::source::{Counters, Item, Lines, Merge, Problem};
use crate::timestamp;

/// How many matches are shown.
pub const MAX_MATCHES: usize = 3;

/// How many silences are shown.
pub const MAX_SILENCES: usize = 3;

/// How many events are shown for a term.
pub const MAX_CLOSEST: usize = 3;

/// Explains what a rule makes of recordings. Each line that cannot be read goes to `each`, which may end the reading.
///
/// # Errors
/// The rule's query does not compile, or runs over finite input only.
pub fn explain<B>(
    rule: &Arc<Rule>,
    exceptions: Vec<Exception>,
    files: Vec<Lines>,
    options: &Options,
    mut each: impl FnMut(&Problem) -> ControlFlow<B>,
) -> Result<(Explanation, Counters, Option<B>), Vec<Diagnostic>> {
    let selected = exception::select(exceptions);
    let variants = Variants::new(rule, &selected)?;
    let decoder = recording(&variants.schema, variants.fields(rule));
    let window = variants.maxspan.unwrap_or(0);
    let mut watch = Watch::new(rule, variants);
    let mut merge = Merge::new(decoder, files);
    let mut recorded = Recorded::new(options, window);
    let mut events = 0;
    let flow = merge.try_for_each(|item| {
        match item {
            Item::Problem(problem) => each(&problem)?,
            Item::NotEvaluated(..) => {}
            Item::Observation(observation, position) => {
                if let Some(event) = recorded.event(position.index as u32, observation) {
                    events += 1;
                    watch.observe(&event);
                }
            }
        }
        ControlFlow::Continue(())
    });
    let silences = watch.finish();
    let excepting = watch.variants.excepting.iter().zip(&watch.taken);
    let withholding = watch.variants.withholding.iter().zip(&watch.withheld);
    let exceptions = excepting
        .map(|(own, taken)| excepted(&own.exception, *taken, 0))
        .chain(withholding.map(|((exception, _), withheld)| excepted(exception, 0, *withheld)))
        .collect();
    let explanation = Explanation {
        rule: RuleName {
            id: rule.id.clone(),
            name: rule.name.clone(),
            version: rule.version.clone(),
            path: rule.path.display().to_string(),
        },
        events,
        fired: watch.fired,
        repeated: watch.repeated,
        withheld: watch.withheld.iter().sum(),
        maxspan_ns: watch.variants.maxspan,
        matches: watch.matches,
        silences,
        terms: watch.terms,
        exceptions,
    };
    Ok((explanation, merge.counters().clone(), flow.break_value()))
}

fn excepted(exception: &Exception, events: u64, alerts: u64) -> Excepted {
    Excepted {
        id: exception.id.clone(),
        owner: exception.owner.clone(),
        reason: exception.reason.clone(),
        expires: timestamp::format(exception.expires),
        events,
        alerts,
    }
}
