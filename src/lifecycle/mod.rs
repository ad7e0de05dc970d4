//! Lifecycle policies of ECR: parsed, evaluated, previewed.
//!
//! [`Policy::parse`] makes every check that ECR makes, and reads this registry's extensions where the policy declares
//! them. [`evaluate`] holds a policy against all images of a repository at one instant and answers a [`Plan`]: its
//! steps in the order in which they are to be taken, each with the rule that wants it, or a [`Stop`] where more would
//! go than the [`Brake`] allows. A preview is the same plan, shown as lines instead of carried out.
//!
//! Rules act on units: an image, or an index with its children, each with the referrers that belong to it. Only the
//! head of a unit is matched and counted; the rest follows it.
//!
//! *Never* here: IO, clocks, where policies and images are stored, how steps are carried out, and who may ask for them.

mod error;
mod json;
mod members;

mod dialect;
mod image;
mod pattern;

mod action;
mod condition;
mod count;
mod extension;
mod group;
mod referrers;
mod rule;
mod selection;

mod coherence;
mod policy;

mod claims;
mod fates;
mod heads;
mod image_rules;
mod ranks;
mod tag_rules;
mod units;

mod brake;
mod evaluate;
mod plan;
mod preview;

#[cfg(test)]
mod tests;

pub use brake::{Brake, Removed, Stop};
pub use dialect::{Dialect, NAMESPACE};
pub use error::PolicyError;
pub use evaluate::evaluate;
pub use image::{Image, StorageClass, Tag};
pub use plan::{Deed, Plan, Step};
pub use policy::{MAX_CHARS, MAX_RULES, Policy};
pub use preview::{PreviewAction, PreviewLine, PreviewSummary, TransitioningImages};
