use crate::{
    RecordName,
    store::{Claim, OwnerToken},
};

/// What a call is about, and who makes it: its answer begins with that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Who([u8; Self::LEN]);

impl Who {
    /// The length of a name and an owner.
    pub(super) const LEN: usize = RecordName::LEN + OwnerToken::LEN;

    pub(super) fn new(name: &RecordName, owner: &OwnerToken) -> Self {
        let mut who = [0; Self::LEN];
        let (about, by) = who.split_at_mut(RecordName::LEN);
        about.copy_from_slice(name.as_bytes());
        by.copy_from_slice(owner.as_bytes());
        Self(who)
    }

    /// Somebody who owns nothing, and asks about a name.
    pub(super) fn stranger(name: &RecordName) -> Self {
        Self::new(name, &OwnerToken::random())
    }

    pub(super) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl From<&Claim> for Who {
    fn from(claim: &Claim) -> Self {
        Self::new(claim.name(), claim.owner())
    }
}
