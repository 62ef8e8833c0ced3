use crate::{
    digest::Digester, key::IdempotencyKey, record_name::RecordName, scope::Scope,
    settings::Settings,
};

/// Names records as a layer does, for tools that look into its store.
///
/// [`IdempotencyLayer::record_names`](crate::IdempotencyLayer::record_names) returns those of a
/// layer. A tool without one says the same namespace, secret and scope, or finds nothing:
///
/// ```
/// use tower_idempotency::{RecordNames, Scope};
///
/// let names = RecordNames::new().namespace("payments").secret("of all servers");
/// let scope = Scope::new("tenant 1").and("alice");
/// let name = names.of(Some(&scope), &"order-17".parse()?);
/// assert_eq!(format!("{name:x}").len(), 64);
/// # Ok::<(), tower_idempotency::InvalidKey>(())
/// ```
#[derive(Debug, Clone)]
pub struct RecordNames {
    digester: Digester,
    namespace: String,
}

impl RecordNames {
    /// Names as a layer does that was told neither a namespace nor a secret.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            digester: Digester::Plain,
            namespace: String::new(),
        }
    }

    pub(crate) fn of_layer(settings: &Settings) -> Self {
        Self {
            digester: settings.digester.clone(),
            namespace: settings.namespace.clone(),
        }
    }

    /// Sets the layer's [`namespace`](crate::IdempotencyLayer::namespace). Default: empty.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the layer's [`secret`](crate::IdempotencyLayer::secret). Default: none.
    ///
    /// # Panics
    ///
    /// When the secret is empty.
    #[must_use]
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        assert!(!secret.as_ref().is_empty(), "the secret is empty");
        self.digester = Digester::keyed(secret.as_ref());
        self
    }

    /// Returns the name of a key's record: in the scope that the layer's
    /// [`scope`](crate::IdempotencyLayer::scope) returns for the request, and in none where that is
    /// not set.
    #[must_use]
    pub fn of(&self, scope: Option<&Scope>, key: &IdempotencyKey) -> RecordName {
        RecordName::of(&self.digester, &self.namespace, scope, key)
    }
}

impl Default for RecordNames {
    fn default() -> Self {
        Self::new()
    }
}
