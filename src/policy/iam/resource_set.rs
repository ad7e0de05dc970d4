//! The resources of a statement.
//!
//! A resource is compared as a whole text with case, and a star may reach over slashes and colons, as AWS documents it. An ARN that
//! leaves out its last parts has any in their place. Variables may stand only behind the fifth colon.
//!
//! A registry is of no partition and no region, or of all: those of an ECR resource count for nothing, so that no deny is got round by
//! asking for another one, or by the ARN that the API tells a client of another partition.

use super::error::{DocumentError, Refusal};
use super::json::{Node, Place};
use super::pattern::{Pattern, encode, glob};
use super::question::Question;
use super::variables::{Style, Template, Variable};

const COLONS: usize = 5;

#[derive(Clone, Debug)]
pub(super) struct ResourceSet {
    /// `NotResource`: everything but these.
    negated: bool,
    templates: Box<[Template]>,
    /// As they are written: ARNs of ECR that are of no repository.
    unknown: Box<[Box<str>]>,
}

impl ResourceSet {
    pub fn parse(node: &Node, place: &Place<'_>, negated: bool, variables: bool) -> Result<Self, DocumentError> {
        let (mut templates, mut unknown) = (Vec::new(), Vec::new());
        node.each(place, "resource", &mut |node, place| {
            let text = node.text(place)?;
            let read = |text: &str| template(text, variables).map_err(|reason| place.refuse(reason));
            templates.push(read(text)?);
            if is_of_no_repository(text) {
                unknown.push(text.into());
            }
            if let Some(text) = of_any_place(text) {
                templates.push(read(&text)?);
            }
            Ok(())
        })?;
        Ok(Self { negated, templates: templates.into(), unknown: unknown.into() })
    }

    pub const fn is_negated(&self) -> bool {
        self.negated
    }

    /// ARNs of ECR that can be no repository's, as they are written.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|text| &**text)
    }

    pub fn variables(&self) -> Vec<Variable<'_>> {
        self.templates.iter().flat_map(Template::variables).collect()
    }

    /// An exception whose variable has no value excepts nothing we could name. `doubtful` is the answer then: no for an Allow, yes
    /// for a Deny, so that a missing tag never widens what is allowed.
    ///
    /// Of many resources an Allow has to hold for all, and a Deny for any. Where exceptions are listed it is the other way round.
    pub fn holds(&self, question: &Question<'_>, doubtful: bool) -> bool {
        let resource = question.resource();
        let all = doubtful == self.negated;
        let listed = self.templates.iter().any(|template| match question.is_about_many() {
            false => template.matches(resource, question),
            true => template.reaches(resource, all, question),
        });
        if !self.negated {
            return listed;
        }
        let resolved = self.templates.iter().all(|template| template.resolves(question));
        if resolved { !listed } else { doubtful && !listed }
    }
}

fn template(text: &str, variables: bool) -> Result<Template, Refusal> {
    let star = !text.is_empty() && text.bytes().all(|byte| byte == b'*');
    let colons = text.bytes().filter(|byte| *byte == b':').count();
    if !star && (!text.starts_with("arn:") || text.chars().any(|c| c.is_control())) {
        return Err(Refusal::Resource(text.to_owned()));
    }
    if variables && text.splitn(COLONS + 1, ':').take(COLONS).any(|part| part.contains("${")) {
        return Err(Refusal::EarlyVariable(text.to_owned()));
    }
    if star {
        return Template::parse(text, Style::Wild, variables);
    }
    let whole = format!("{text}{}", ":*".repeat(COLONS.saturating_sub(colons)));
    Template::parse(&whole, Style::Wild, variables)
}

/// Whether an ARN of ECR's cannot be a repository's, which all of its resources are; those with variables are not looked at.
fn is_of_no_repository(arn: &str) -> bool {
    let mut parts = arn.splitn(COLONS + 1, ':');
    let is_of_ecr = parts.nth(2) == Some("ecr");
    let Some(resource) = parts.nth(2).filter(|_| is_of_ecr && !arn.contains("${")) else { return false };
    !Pattern::new(resource).reaches("repository/", false)
}

/// The same resources of ECR in every partition and region; `None` for an ARN that is about none, which stays as it is: a user or role is
/// of one partition. A part that can be no region belongs to a star that reaches over it, and is never left out: what remained would be
/// everything.
fn of_any_place(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(COLONS + 1, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next(), parts.next().unwrap_or("*"), parts.next().unwrap_or("*"));
    let is_place =
        |part: &str| part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-*?".contains(&c));
    let is_of_ecr = glob(&encode(service), "ecr") && is_place(partition) && region.is_none_or(is_place);
    is_of_ecr.then(|| format!("{arn}:*:ecr:*:{account}:{resource}"))
}
