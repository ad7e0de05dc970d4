//! Plans: what an evaluation came to.

use super::brake::Stop;
use super::image::Image;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<'i> {
    steps: Vec<Step<'i>>,
    stop: Option<Stop>,
}

/// Something to be done to one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'i> {
    pub image: &'i Image,
    pub deed: Deed<'i>,
    pub rule_priority: u32,
    /// Index or subject that the image follows; `None` where the rule selected the image itself.
    pub follows: Option<&'i Image>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed<'i> {
    /// The manifest goes, with its tags.
    Expire,
    Archive,
    /// Only these tags go.
    Untag(Vec<&'i str>),
}

impl<'i> Plan<'i> {
    pub(super) fn new(steps: Vec<Step<'i>>, stop: Option<Stop>) -> Self {
        Self { steps, stop }
    }

    /// Steps to be taken, in this order: the oldest first, and nothing before what it follows. None where the brake
    /// stops the run.
    pub fn steps(&self) -> Result<&[Step<'i>], Stop> {
        self.stop.map_or(Ok(&self.steps), Err)
    }

    /// The same steps to be looked at only, also where the brake stops the run.
    pub fn preview(&self) -> &[Step<'i>] {
        &self.steps
    }
}
