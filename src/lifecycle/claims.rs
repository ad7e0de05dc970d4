//! Claims of rules on images, which the rules below respect.

#[derive(Debug)]
pub(super) struct Claims {
    claims: Vec<Claim>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    is_image_claimed: bool,
    has_claimed_tag: bool,
}

impl Claims {
    pub fn none(images: usize) -> Self {
        Self { claims: vec![Claim::default(); images] }
    }

    pub fn claim_image(&mut self, image: usize) {
        if let Some(claim) = self.claims.get_mut(image) {
            claim.is_image_claimed = true;
        }
    }

    pub fn claim_tag_of(&mut self, image: usize) {
        if let Some(claim) = self.claims.get_mut(image) {
            claim.has_claimed_tag = true;
        }
    }

    /// Whether no rule has claimed the image or one of its tags.
    pub fn is_free(&self, image: usize) -> bool {
        self.claims.get(image).is_some_and(|claim| !claim.is_image_claimed && !claim.has_claimed_tag)
    }

    /// Whether no rule has claimed the image as such.
    pub fn are_tags_free(&self, image: usize) -> bool {
        self.claims.get(image).is_some_and(|claim| !claim.is_image_claimed)
    }
}
