use bytes::Bytes;
use http::{HeaderMap, header, request};

use crate::{
    body::Buffered,
    context::IdempotencyContext,
    digest::Purpose,
    events,
    fingerprint::{CredentialsDigest, Fingerprint, request_digest},
    key::IdempotencyKey,
    record_name::RecordName,
    rejection::Rejection,
    settings::{Credentials, Principal, Settings},
    shared::Shared,
};

/// Who sent a keyed request, and under which key.
pub(crate) struct Keyed {
    pub(crate) key: IdempotencyKey,
    credentials: CredentialsDigest,
}

impl Keyed {
    /// Reads the key of a request and names its record: `None` where the layer has nothing to do
    /// with the request.
    pub(crate) fn admit<S>(
        shared: &Shared<S>,
        parts: &request::Parts,
    ) -> Result<Option<(Self, RecordName)>, Rejection> {
        let settings = &shared.settings;
        if !(settings.covers)(parts) {
            return Ok(None);
        }
        let key = match IdempotencyKey::find(&parts.headers, &settings.header) {
            Some(key) => key.map_err(Rejection::InvalidKey)?,
            None if settings.require_key => return Err(Rejection::MissingKey),
            None => return Ok(None),
        };
        let (scope, credentials) = match &settings.principal {
            Principal::Scope(scope) => (
                Some(scope(parts).ok_or(Rejection::MissingPrincipal)?),
                CredentialsDigest::default(),
            ),
            Principal::Credentials(credentials) => {
                (None, credentials.digest(settings, &parts.headers))
            }
            Principal::Unscoped => (None, CredentialsDigest::default()),
        };
        let name = RecordName::of(
            &settings.digester,
            &settings.namespace,
            scope.as_ref(),
            &key,
        );
        if runs_under(parts, &name) {
            let warned = &shared.warned.layered_twice;
            warned.get_or_init(|| events::layered_twice(&name));
            return Ok(None);
        }
        Ok(Some((Self { key, credentials }, name)))
    }

    /// Digests what makes another request the same as this one.
    pub(crate) fn fingerprint(
        &self,
        settings: &Settings,
        parts: &request::Parts,
        body: &Buffered,
    ) -> Fingerprint {
        let target = (settings.target)(parts);
        let canonical = settings.canonical.as_ref().map(|canonical| {
            let body: Bytes = body.to_bytes();
            canonical(parts, &body)
        });
        let request = request_digest(
            &settings.digester,
            parts,
            &target,
            body,
            canonical.as_deref(),
        );
        Fingerprint::new(self.credentials, request)
    }
}

/// Says whether a layer further out carries out this very request.
fn runs_under(parts: &request::Parts, name: &RecordName) -> bool {
    let context = parts.extensions.get::<IdempotencyContext>();
    context.is_some_and(|context| context.record_name() == name)
}

impl Credentials {
    fn digest(&self, settings: &Settings, headers: &HeaderMap) -> CredentialsDigest {
        let mut digest = None;
        let mut add = |place: usize, credential: &[u8]| {
            let digest =
                digest.get_or_insert_with(|| settings.digester.start(Purpose::Credentials));
            digest.length(place);
            digest.field(credential);
        };
        for (place, name) in self.headers.iter().enumerate() {
            if name == header::COOKIE {
                let cookies = cookies(headers).filter(|cookie| self.counts(cookie));
                cookies.for_each(|cookie| add(place, cookie));
            } else {
                headers
                    .get_all(name)
                    .iter()
                    .for_each(|value| add(place, value.as_bytes()));
            }
        }
        let mut short = CredentialsDigest::default();
        if let Some(digest) = digest {
            short.copy_from_slice(&digest.finish()[..CredentialsDigest::default().len()]);
        }
        short
    }

    fn counts(&self, cookie: &[u8]) -> bool {
        let name = cookie
            .split(|&byte| byte == b'=')
            .next()
            .unwrap_or_default();
        let counting = self.cookies.as_ref();
        counting.is_none_or(|names| names.iter().any(|counting| counting.as_bytes() == name))
    }
}

/// Returns the cookies one by one: HTTP/2 may split the field that HTTP/1 sends whole.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    fields
        .flat_map(|field| field.as_bytes().split(|&byte| byte == b';'))
        .map(<[u8]>::trim_ascii)
}
