//! Extensions of this registry to ECR's policies, all behind one member of the policy and of its rules.
//!
//! A policy declares them with `"entrepot": {"version": 1}`, beside `rules`, where the registry allows them at all.
//! Then
//!
//! * `sinceImagePulled` may be used with `expire`;
//! * an action may be `keep`: the rules below leave alone what the rule selects. Its selection has no count; its
//!   `entrepot` may have one of `newest`, `pulledWithinDays` and `pushedWithinDays`, and what that does not keep is
//!   left to the rules below;
//! * a rule may have a member `entrepot` with `subject` (`image`, or `tag` to take tags away and leave their images),
//!   `groupBy` (`{*}-*`: counts are of each group), `signed`, and `artifactTypes` (images that have a referrer of such
//!   a type);
//! * `maxSharePercent` beside `version` stops a run that would remove more of the repository than that;
//! * `attachSignatureTags` beside `version` makes images that are tagged `sha256-….sig` and the like belong to the
//!   image that the tag names, as clients push signatures to registries that know no referrers.

use super::condition::{Condition, Days};
use super::dialect::NAMESPACE;
use super::error::{PolicyError, Problem};
use super::group::GroupPattern;
use super::json::Node;
use super::members::Members;
use super::pattern::{MAX_WILDCARDS, Pattern};
use super::referrers::Referrers;

/// Artifact types of a rule.
const MAX_ARTIFACT_TYPES: usize = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyExtension {
    pub max_share_percent: Option<u8>,
    pub attach_signature_tags: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleExtension {
    pub subject: Subject,
    pub group_by: Option<GroupPattern>,
    pub referrers: Referrers,
    /// Past this an image is not kept; only for `keep`.
    pub retention: Option<Condition>,
}

/// Things that a rule selects, counts and acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Subject {
    #[default]
    Image,
    Tag,
}

impl PolicyExtension {
    pub fn read(node: &Node) -> Result<Self, PolicyError> {
        let members = Members::read(node, NAMESPACE, &["version"], &["maxSharePercent", "attachSignatureTags"])?;
        if let Some(version) = members.integer("version", 1)?.filter(|version| *version != 1) {
            return Err(Problem::TooHigh { maximum: 1, found: version.to_string() }.at(&members.place_of("version")));
        }
        let max_share_percent = match members.integer("maxSharePercent", 1)? {
            Some(percent @ 0..=100) => u8::try_from(percent).ok(),
            Some(percent) => {
                let problem = Problem::TooHigh { maximum: 100, found: percent.to_string() };
                return Err(problem.at(&members.place_of("maxSharePercent")));
            }
            None => None,
        };
        let attach_signature_tags = members.flag("attachSignatureTags")?.unwrap_or_default();
        Ok(Self { max_share_percent, attach_signature_tags })
    }
}

impl RuleExtension {
    pub fn read(node: &Node, place: &str) -> Result<Self, PolicyError> {
        const MEMBERS: [&str; 7] =
            ["subject", "groupBy", "signed", "artifactTypes", "newest", "pulledWithinDays", "pushedWithinDays"];
        let members = Members::read(node, place, &[], &MEMBERS)?;
        let subject = members.word("subject", &[("image", Subject::Image), ("tag", Subject::Tag)])?;
        Ok(Self {
            subject: subject.unwrap_or_default(),
            group_by: group_by(&members)?,
            referrers: Referrers::new(members.flag("signed")?, artifact_types(&members)?),
            retention: retention(&members)?,
        })
    }
}

fn group_by(members: &Members<'_>) -> Result<Option<GroupPattern>, PolicyError> {
    let Some(text) = members.text("groupBy")? else { return Ok(None) };
    let pattern = GroupPattern::new(text).ok_or_else(|| {
        Problem::Broken("groupBy has one pair of braces with a wildcard inside, and at most 4 wildcards, such as {*}-*")
            .at(&members.place_of("groupBy"))
    });
    pattern.map(Some)
}

fn artifact_types(members: &Members<'_>) -> Result<Vec<Pattern>, PolicyError> {
    let texts = members.texts("artifactTypes", MAX_ARTIFACT_TYPES)?.unwrap_or_default();
    let pattern = |text: &str| {
        let too_many = || Problem::Broken("a pattern of artifactTypes has more wildcards than allowed");
        let hint = format!("at most {MAX_WILDCARDS}");
        Pattern::new(text).ok_or_else(|| too_many().at(&members.place_of("artifactTypes")).hint(hint))
    };
    texts.into_iter().map(pattern).collect()
}

fn retention(members: &Members<'_>) -> Result<Option<Condition>, PolicyError> {
    let limits = [
        members.integer("newest", 1)?.map(Condition::MoreThan),
        members.integer("pulledWithinDays", 1)?.map(|days| Condition::PulledBefore(Days(days))),
        members.integer("pushedWithinDays", 1)?.map(|days| Condition::PushedBefore(Days(days))),
    ];
    let mut limits = limits.into_iter().flatten();
    let first = limits.next();
    if limits.next().is_some() {
        let problem = Problem::Broken("only one of newest, pulledWithinDays and pushedWithinDays can be specified");
        return Err(problem.at(members.place()).hint("write a keep rule for each"));
    }
    Ok(first)
}
