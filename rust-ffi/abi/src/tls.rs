//! TLS as a C caller says it.

use fluvio_cffi_engine::{Error, Identity, Pem, Result, Tls, Verified};

use crate::bytes::flv_slice_t;

/// How connections are protected.
#[repr(C)]
pub enum flv_tls_policy_e {
    /// As the profile says; without one, plain TCP.
    FLV_TLS_POLICY_PROFILE = 0,
    /// Plain TCP.
    FLV_TLS_POLICY_DISABLED = 1,
    /// Encrypted; whom it talks to is not checked.
    FLV_TLS_POLICY_ANONYMOUS = 2,
    /// Encrypted, with the server's certificate checked.
    FLV_TLS_POLICY_VERIFIED = 3,
}

/// What is said of a verified connection.
pub(crate) struct Texts {
    pub(crate) domain: Option<String>,
    pub(crate) ca: Option<Pem>,
    pub(crate) cert: Option<Pem>,
    pub(crate) key: Option<Pem>,
}

impl Texts {
    pub(crate) fn verified(self) -> Result<Tls> {
        let identity = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some(Identity { cert, key }),
            (None, None) => None,
            (Some(_), None) => return Err(Error::invalid("tls: cert is given without key: they belong together")),
            (None, Some(_)) => return Err(Error::invalid("tls: key is given without cert: they belong together")),
        };
        Ok(Tls::Verified(Verified { domain: self.domain, ca: self.ca, identity }))
    }

    fn is_empty(&self) -> bool {
        self.domain.is_none() && [&self.ca, &self.cert, &self.key].iter().all(|pem| pem.is_none())
    }
}

/// `None`: as the profile says.
pub(crate) fn parse(
    policy: u32,
    domain: flv_slice_t,
    ca: flv_slice_t,
    cert: flv_slice_t,
    key: flv_slice_t,
) -> Result<Option<Tls>> {
    use flv_tls_policy_e as P;
    let pem = |slice: flv_slice_t, name| slice.bytes(name).map(|it| Some(it).filter(|it| !it.is_empty()).map(Pem::new));
    let texts = Texts {
        domain: domain.optional_text("tls_domain")?,
        ca: pem(ca, "tls_ca")?,
        cert: pem(cert, "tls_cert")?,
        key: pem(key, "tls_key")?,
    };
    let tls = match policy {
        _ if policy == P::FLV_TLS_POLICY_VERIFIED as u32 => return texts.verified().map(Some),
        _ if policy == P::FLV_TLS_POLICY_PROFILE as u32 => None,
        _ if policy == P::FLV_TLS_POLICY_DISABLED as u32 => Some(Tls::Disabled),
        _ if policy == P::FLV_TLS_POLICY_ANONYMOUS as u32 => Some(Tls::Anonymous),
        other => return Err(Error::invalid(format!("tls_policy is {other}: it must be one of FLV_TLS_POLICY_"))),
    };
    if !texts.is_empty() {
        return Err(Error::invalid(
            "tls_domain, tls_ca, tls_cert and tls_key are for FLV_TLS_POLICY_VERIFIED: leave them out for others",
        ));
    }
    Ok(tls)
}
