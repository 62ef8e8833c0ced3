use std::convert::Infallible;

use axum_login::{AuthUser, AuthnBackend, UserId};

/// Who may log in. A real one asks a database, and for a password.
#[derive(Debug, Clone)]
pub(crate) struct Users;

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) number: u64,
    pub(crate) name: &'static str,
}

const USERS: [User; 2] = [
    User {
        number: 1,
        name: "ada",
    },
    User {
        number: 2,
        name: "bob",
    },
];

impl AuthUser for User {
    type Id = u64;

    fn id(&self) -> u64 {
        self.number
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Infallible> {
        Ok(USERS.into_iter().find(|user| user.name == name))
    }

    async fn get_user(&self, number: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(USERS.into_iter().find(|user| user.number == *number))
    }
}
