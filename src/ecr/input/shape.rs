//! The shapes that several operations share.

use super::super::encryption::EncryptionConfiguration;
use super::super::fault::Fault;
use super::super::image::{ImageFailureCode, RequestedImage};
use super::super::layer::LayerDigest;
use super::super::mutability::{ExclusionFilter, MAX_EXCLUSION_FILTERS, MutabilityMode, TagMutability};
use super::super::page::{NextToken, Page, PageKind, Selection};
use super::super::prefix::Prefix;
use super::super::words::{Word, words};
use super::item::Item;
use super::members::Members;
use super::pattern::is_role_arn_or_empty;
use crate::oci::{AccountId, Digest, MediaType, RepositoryName, Tag};

pub const ANY_LENGTH: std::ops::RangeInclusive<usize> = 0..=usize::MAX;

const REPOSITORY_NAME_PATTERN: &str = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*";
const PREFIX_PATTERN: &str = r"^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\/?|ROOT)$";
const ROLE_PATTERN: &str = r"^$|arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[\w+=,.@-]+(/[\w+=,.@-]+)*";
const DIGEST_PATTERN: &str = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+";

pub fn account_id(item: Item) -> Result<AccountId, Fault> {
    item.read(ANY_LENGTH, "[0-9]{12}", |text| text.parse().ok())
}

/// ECR's longest name has 256 characters, one more than the distribution specification lets a client write.
pub fn repository_name(item: Item) -> Result<RepositoryName, Fault> {
    item.read(2..=256, REPOSITORY_NAME_PATTERN, |text| text.parse().ok())
}

pub fn repository_names(item: Item) -> Result<Vec<RepositoryName>, Fault> {
    item.list(1..=100, repository_name)
}

/// A digest by which something is to be found or compared: it has to be one that we can compute.
pub fn image_digest(item: Item) -> Result<Digest, Fault> {
    item.read(ANY_LENGTH, "(sha256:[a-f0-9]{64})|(sha512:[a-f0-9]{128})", |text| text.parse().ok())
}

pub fn image_tag(item: Item) -> Result<Tag, Fault> {
    item.read(1..=300, "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", |text| text.parse().ok())
}

pub fn layer_digest(item: Item) -> Result<LayerDigest, Fault> {
    item.read(ANY_LENGTH, DIGEST_PATTERN, LayerDigest::parse)
}

pub fn media_type(item: Item) -> Result<MediaType, Fault> {
    item.text().map(|text| MediaType::new(&text))
}

/// A malformed id is for the operation to answer; only one that is longer than the model allows fails here.
pub fn images(item: Item) -> Result<Vec<RequestedImage>, Fault> {
    item.list(1..=100, image)
}

fn image(item: Item) -> Result<RequestedImage, Fault> {
    let mut members = item.object()?;
    let digest = members.optional("imageDigest", Item::text)?;
    let tag = members.optional("imageTag", |item| item.text_within(1..=300))?;
    Ok(RequestedImage::new(digest, tag))
}

/// Where one id fails the whole call, a malformed one is an invalid parameter. A digest that nothing here can have is none.
pub fn well_formed_image(item: Item) -> Result<RequestedImage, Fault> {
    let path = item.path().to_owned();
    let image = image(item)?;
    let (member, code) = match image.meaning() {
        Ok(_) | Err(ImageFailureCode::ImageNotFound) => return Ok(image),
        Err(code @ ImageFailureCode::InvalidImageDigest) => (".imageDigest", code),
        Err(code @ ImageFailureCode::InvalidImageTag) => (".imageTag", code),
        Err(code) => ("", code),
    };
    Err(Fault::invalid_parameter(&format!("{path}{member}"), code.reason()))
}

/// Of a pull-through rule.
pub fn rule_prefix(item: Item) -> Result<Prefix, Fault> {
    item.read(2..=30, PREFIX_PATTERN, |text| text.parse().ok())
}

/// Of a repository creation template.
pub fn template_prefix(item: Item) -> Result<Prefix, Fault> {
    item.read(1..=256, PREFIX_PATTERN, |text| text.parse().ok())
}

pub fn policy_text(item: Item) -> Result<String, Fault> {
    item.text_within(0..=10_240)
}

/// Empty is none.
pub fn custom_role_arn(item: Item) -> Result<String, Fault> {
    item.read(0..=2048, ROLE_PATTERN, |text| is_role_arn_or_empty(text).then(|| text.to_owned()))
}

/// The type and the key, which `key` reads.
pub fn encryption(
    item: Item,
    key: impl FnOnce(Item) -> Result<String, Fault>,
) -> Result<EncryptionConfiguration, Fault> {
    let mut members = item.object()?;
    Ok(EncryptionConfiguration {
        encryption_type: members.required("encryptionType", Item::word)?,
        kms_key: members.optional("kmsKey", key)?,
    })
}

words! {
    pub enum FilterType {
        Wildcard = "WILDCARD",
    }
}

/// Mode and filters of an object, which have to agree.
pub fn tag_mutability(members: &mut Members) -> Result<Option<TagMutability>, Fault> {
    const FILTERS: &str = "imageTagMutabilityExclusionFilters";
    let mode: Option<MutabilityMode> = members.optional("imageTagMutability", Item::word)?;
    let filters = members.optional(FILTERS, |item| item.list(1..=MAX_EXCLUSION_FILTERS, exclusion_filter))?;
    let given = filters.is_some();
    let Some(mode) = mode else {
        if given {
            return Err(members.refuse("imageTagMutability", "Member must not be null with exclusion filters"));
        }
        return Ok(None);
    };
    match TagMutability::from_parts(mode, filters.unwrap_or_default()) {
        Some(mutability) => Ok(Some(mutability)),
        None => {
            let must = if given { "must" } else { "can't" };
            let detail =
                format!("ImageTagMutabilityExclusionFilters {must} be null when imageTagMutability is set as {mode}");
            Err(members.refuse(FILTERS, &detail))
        }
    }
}

fn exclusion_filter(item: Item) -> Result<ExclusionFilter, Fault> {
    let mut members = item.object()?;
    members.required("filterType", Item::word::<FilterType>)?;
    members.required("filter", |item| {
        item.read(1..=128, "^[0-9a-zA-Z._*-]{1,128}$ with at most two '*'", |text| text.parse().ok())
    })
}

/// How many entries a page has unless the request says, and at most.
#[derive(Clone, Copy)]
pub struct PageSize {
    pub default: usize,
    pub max: usize,
}

impl PageSize {
    pub const USUAL: Self = Self { default: 100, max: 1000 };
    pub const SMALL: Self = Self { default: 20, max: 50 };
}

pub fn page(members: &mut Members, kind: PageKind, size: PageSize) -> Result<Page, Fault> {
    let (limit, after) = paging(members, kind, size)?;
    Ok(Page::new(kind, limit.unwrap_or(size.default), after))
}

/// A page of all, or the entries that the member `name` lists: then nothing is paged.
pub fn selection<T>(
    members: &mut Members,
    name: &str,
    read: impl FnOnce(Item) -> Result<Vec<T>, Fault>,
    kind: PageKind,
    size: PageSize,
) -> Result<Selection<T>, Fault> {
    let named = members.optional(name, read)?.filter(|named| !named.is_empty());
    let (limit, after) = paging(members, kind, size)?;
    let Some(named) = named else { return Ok(Selection::All(Page::new(kind, limit.unwrap_or(size.default), after))) };
    let paged = [("nextToken", after.is_some()), ("maxResults", limit.is_some())];
    match paged.into_iter().find(|(_, given)| *given) {
        Some((member, _)) => Err(members.refuse(member, &format!("Member must be null when {name} is set"))),
        None => Ok(Selection::Named(named)),
    }
}

fn paging(members: &mut Members, kind: PageKind, size: PageSize) -> Result<(Option<usize>, Option<String>), Fault> {
    let max = i64::try_from(size.max).unwrap_or(i64::MAX);
    let limit = members.optional("maxResults", |item| item.integer(1..=max))?;
    let after = members.optional("nextToken", |item| {
        let refusal = item.refuse("Member must be a nextToken that this operation gave out");
        NextToken::open(kind, &item.text()?).map_err(|_| refusal)
    })?;
    Ok((limit.and_then(|limit| usize::try_from(limit).ok()), after))
}

/// A word that may be absent.
pub fn word<W: Word>(members: &mut Members, name: &str) -> Result<Option<W>, Fault> {
    members.optional(name, Item::word)
}
