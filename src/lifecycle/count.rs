//! Counts of selections: `countType`, `countUnit` and `countNumber`, with the storage class and the action that go with
//! them.
//!
//! ECR has a schema for each count type. A selection that fits none of them is refused as a whole; the hint says what
//! it lacks.

use super::action::Action;
use super::condition::{Condition, Days};
use super::dialect::Extensions;
use super::error::{PolicyError, Problem};
use super::image::StorageClass;
use super::members::Members;

/// Days that an image stays in the archive at least.
const MIN_ARCHIVED_DAYS: u64 = 90;

#[derive(Clone, Copy, PartialEq, Eq)]
enum CountType {
    MoreThan,
    Pushed,
    Pulled,
    Transitioned,
}

/// Reads the condition of a rule that expires or archives.
pub(super) fn read(
    members: &Members<'_>,
    storage_class: StorageClass,
    action: Action,
    extensions: Extensions,
) -> Result<Condition, PolicyError> {
    let refuse = |hint: &str| Err(Problem::NoSelection.at(members.place()).hint(hint));
    let count_type = match members.text("countType")? {
        Some("imageCountMoreThan") => CountType::MoreThan,
        Some("sinceImagePushed") => CountType::Pushed,
        Some("sinceImagePulled") => CountType::Pulled,
        Some("sinceImageTransitioned") => CountType::Transitioned,
        _ => {
            return refuse(
                "countType is imageCountMoreThan, sinceImagePushed, sinceImagePulled or sinceImageTransitioned",
            );
        }
    };
    match (count_type, members.node("countUnit")) {
        (CountType::MoreThan, None) => {}
        (CountType::MoreThan, Some(_)) => return refuse("imageCountMoreThan has no countUnit"),
        (_, Some(_)) if matches!(members.text("countUnit"), Ok(Some("days"))) => {}
        _ => return refuse("this countType needs countUnit days"),
    }
    match (count_type, storage_class, action) {
        (CountType::Transitioned, StorageClass::Standard, _) => {
            return refuse("sinceImageTransitioned needs storageClass archive");
        }
        (CountType::Transitioned, StorageClass::Archive, Action::Archive) => {
            return refuse("sinceImageTransitioned needs the action expire");
        }
        (CountType::MoreThan | CountType::Pushed | CountType::Pulled, StorageClass::Archive, _) => {
            return refuse("storageClass archive needs countType sinceImageTransitioned");
        }
        (CountType::Pulled, _, Action::Expire) if extensions != Extensions::Declared => {
            let refusal = Problem::NoSelection.at(members.place());
            return Err(extensions.explain(refusal, "expire with sinceImagePulled, where ECR has transition only,"));
        }
        _ => {}
    }
    let minimum = if count_type == CountType::Transitioned { MIN_ARCHIVED_DAYS } else { 1 };
    let Some(number) = members.integer("countNumber", minimum)? else {
        return Err(Problem::MissingMembers(vec!["countNumber"]).at(members.place()));
    };
    Ok(match count_type {
        CountType::MoreThan => Condition::MoreThan(number),
        CountType::Pushed => Condition::PushedBefore(Days(number)),
        CountType::Pulled => Condition::PulledBefore(Days(number)),
        CountType::Transitioned => Condition::TransitionedBefore(Days(number)),
    })
}
