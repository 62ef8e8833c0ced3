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
    /// The caller may do what was asked for.
    Granted,
    /// It is not known who the caller is: 401.
    Unauthenticated,
    /// The caller may not do it: 403.
    Forbidden,
}
