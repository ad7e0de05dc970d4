//! The model: one origin, alone. Says what is wrong with an answer, if anything is.

use super::client::{BodyEnd, Seen};
use super::plan::{Plan, REPOSITORIES, Visit, Wants};
use super::script::Nature;
use crate::cache::error::Error;

/// Bytes that are compared at a time.
const PIECE_BYTES: usize = 4096;

pub(super) fn judge(plan: &Plan, visit: &Visit, seen: &Seen) -> Result<(), String> {
    match plan.servers[visit.server].nature {
        Nature::Honest | Nature::Bucket => honest(plan, visit, seen),
        Nature::Wrong => wrong(plan, visit, seen),
    }
}

/// All that it has comes, and nothing but that; what it refuses is refused as it says.
fn honest(plan: &Plan, visit: &Visit, seen: &Seen) -> Result<(), String> {
    let holding = &plan.servers[visit.server].holdings[visit.repository][visit.blob];
    let content = &plan.blobs[visit.blob].content;
    if let Err(refusal) = &holding.head {
        return match seen {
            Seen::Refused(Error::Upstream(error)) if holding.refuses(&error.kind) => Ok(()),
            seen => Err(format!("{} where the origin says {refusal:?}", brief(seen))),
        };
    }
    match seen {
        Seen::Kept => Ok(()),
        Seen::Size(size) if size.is_none_or(|size| size == content.len() as u64) => Ok(()),
        Seen::Body { start, announced, bytes, end } => {
            let start = usize::try_from(start.unwrap_or(0)).map_err(|error| error.to_string())?;
            let wanted = match (&visit.wants, announced) {
                // A range is one only where the size is known.
                (Wants::Range { bytes, .. }, Some(_)) => {
                    content.len().min(start.saturating_add(usize::try_from(*bytes).unwrap_or(usize::MAX)))
                }
                _ => content.len(),
            };
            let expected = content.get(start..wanted).unwrap_or_default();
            if !expected.starts_with(bytes) {
                return Err("wrong bytes".to_owned());
            }
            if announced.is_some_and(|announced| announced != expected.len() as u64) {
                return Err(format!("{announced:?} bytes were announced of {}", expected.len()));
            }
            match end {
                BodyEnd::Left => Ok(()),
                BodyEnd::Complete if bytes.len() == expected.len() => Ok(()),
                _ => Err(brief(seen)),
            }
        }
        seen => Err(brief(seen)),
    }
}

/// What it sent to somebody for this blob may come, and no byte of another; what it never said is not said in its name.
fn wrong(plan: &Plan, visit: &Visit, seen: &Seen) -> Result<(), String> {
    let server = &plan.servers[visit.server];
    let holding = &server.holdings[visit.repository][visit.blob];
    match seen {
        Seen::Refused(Error::Upstream(error)) if error.is_answer() && !holding.refuses(&error.kind) => {
            Err(format!("{error}, which it does not say here"))
        }
        Seen::Body { start, bytes, end, .. } => {
            let start = usize::try_from(start.unwrap_or(0)).map_err(|error| error.to_string())?;
            if !bytes.is_empty() && !holding.is_confirmed() {
                return Err("bytes of a blob that it never confirmed for the repository".to_owned());
            }
            let contents: Vec<_> =
                (0..REPOSITORIES).flat_map(|repository| server.holdings[repository][visit.blob].contents()).collect();
            let is_sent = |from: usize, until: usize| {
                contents.iter().any(|content| content.get(start + from..start + until) == bytes.get(from..until))
            };
            for from in (0..bytes.len()).step_by(PIECE_BYTES) {
                let until = bytes.len().min(from + PIECE_BYTES);
                // It may have begun to send something else in the middle of the piece.
                if !is_sent(from, until)
                    && let Some(at) = (from..until).find(|at| !is_sent(*at, at + 1))
                {
                    return Err(format!("a byte at {} that it never sent", start + at));
                }
            }
            let is_whole = !matches!(visit.wants, Wants::Range { .. }) && matches!(end, BodyEnd::Complete);
            if is_whole && !plan.blobs[visit.blob].digest.verifies(bytes) {
                return Err("a complete answer of wrong bytes".to_owned());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn brief(seen: &Seen) -> String {
    match seen {
        Seen::Body { start, announced, bytes, end } => {
            format!("{} bytes from {start:?} on of {announced:?} announced, {end:?}", bytes.len())
        }
        seen => format!("{seen:?}"),
    }
}
