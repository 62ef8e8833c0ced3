/// What somebody asks of the [`router`](super::router).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Act {
    /// To see what is kept, without any response.
    Look,
    /// To see a recorded response, which is a client's alone.
    Read,
    /// To have a record forgotten, so that its request may run again.
    Forget,
    /// To record an answer, which the client will get.
    Repair,
}

/// What the authorisation function of the [`router`](super::router) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// They may.
    Granted,
    /// It is not known who they are: 401.
    Unauthenticated,
    /// They may not: 403.
    Forbidden,
}
